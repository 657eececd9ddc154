"""How many CPUs may be used: files of the kernel's, as they are on hosts and in containers."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from fastwsgi.config.cpus import usable_cpus

V2 = "0::/kubepods/pod1/c1\n"
V1 = "5:memory:/docker/c1\n4:cpu,cpuacct:/docker/c1\n0::/docker/c1\n"
CGROUP = "sys/fs/cgroup"


@pytest.mark.parametrize(
    ("cgroup", "files", "count"),
    [
        pytest.param(None, {}, 64, id="no files at all"),
        pytest.param("0::/\n", {}, 64, id="no group"),
        pytest.param(V2, {"cpu.max": "200000 100000\n"}, 2, id="a container's own mount"),
        pytest.param(V2, {"kubepods/pod1/c1/cpu.max": "300000 100000\n"}, 3, id="the host's mount"),
        pytest.param(V2, {"cpu.max": "max 100000\n"}, 64, id="without a quota"),
        pytest.param(V2, {"cpu.max": "150000 100000\n"}, 2, id="a part of a CPU over"),
        pytest.param(V2, {"cpu.max": "50000 100000\n"}, 1, id="less than one CPU"),
        pytest.param(V2, {"cpu.max": "9900000 100000\n"}, 64, id="more than there are"),
        pytest.param(
            V2,
            {"kubepods/cpu.max": "200000 100000\n", "kubepods/pod1/c1/cpu.max": "max 100000\n"},
            2,
            id="the quota of a group around it",
        ),
        pytest.param("0::/../../x\n", {"cpu.max": "200000 100000\n"}, 2, id="a path upwards"),
        pytest.param(
            V1,
            {"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"},
            4,
            id="version 1",
        ),
        pytest.param(
            V1,
            {
                "cpu/docker/c1/cpu.cfs_quota_us": "500000\n",
                "cpu/docker/c1/cpu.cfs_period_us": "100000\n",
            },
            5,
            id="version 1, the host's mount",
        ),
        pytest.param(
            V1,
            {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
            64,
            id="version 1 without a quota",
        ),
    ],
)
def test_the_count(
    cgroup: str | None,
    files: Mapping[str, str],
    count: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))
    texts = {f"{CGROUP}/{name}": text for name, text in files.items()}
    if cgroup is not None:
        texts["proc/self/cgroup"] = cgroup
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert usable_cpus(str(tmp_path)) == count


def test_affinity_is_a_bound_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 5, 9})
    assert usable_cpus(str(tmp_path)) == 3


def test_here() -> None:
    assert 1 <= usable_cpus() <= len(os.sched_getaffinity(0))
