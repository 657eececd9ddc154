from __future__ import annotations

import pytest

from bench import servers, workloads
from bench.running import SERVED
from bench.served import apps
from tests.conftest import Serve


def test_browser_requests_have_twelve_fields_and_change_path_and_cookie() -> None:
    requests = workloads.find("browser").requests
    lines = [request.split(b"\r\n") for request in requests]
    assert {len(request) for request in lines} == {1 + 12 + 2}
    assert len({request[0] for request in lines}) == len(requests)
    assert len({line for request in lines for line in request if line[:6] == b"Cookie"}) == len(
        requests
    )


def test_pipeline_sends_sixteen_requests_at_once() -> None:
    (payload,) = workloads.find("pipeline").payloads
    assert payload.count(b"\r\n\r\n") == 16


def test_post_has_a_kibibyte() -> None:
    (request,) = workloads.find("post").requests
    assert len(request.partition(b"\r\n\r\n")[2]) == 1024


def test_every_server_takes_part_and_every_workload_has_one_of_ours() -> None:
    for server in servers.TABLE:
        assert any(workload.includes(server) for workload in workloads.TABLE)
    subjects = {workload.model: workload.subject for workload in workloads.TABLE}
    assert subjects == {
        "inline": "fastwsgi",
        "threads": "fastwsgi-threads",
        "gevent": "fastwsgi-gevent",
        "tls": "fastwsgi-tls",
        "logged": "fastwsgi-logged",
    }


def test_whom_fastwsgi_is_wanted_to_reach_takes_part() -> None:
    for workload in workloads.TABLE:
        names = {server.name for server in servers.TABLE if workload.includes(server)}
        allowed = {workloads.BEST_PEER} | ({"limit"} if workload.pause else set())
        assert set(workload.wanted) - names <= allowed
        assert set(workload.beside) <= names


@pytest.mark.parametrize("name", [w.name for w in workloads.TABLE if w.module == "apps"])
def test_application_gives_the_expected_body(name: str) -> None:
    workload = workloads.find(name)
    head, _, body = workload.requests[0].partition(b"\r\n\r\n")
    target = head.split()[1].decode()
    statuses: list[str] = []
    environ = {
        "PATH_INFO": target.partition("?")[0],
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": Body(body),
    }
    returned = apps.app(environ, lambda status, headers: statuses.append(status))
    answer = b"".join(returned)
    if hasattr(returned, "close"):
        returned.close()
    assert (statuses, answer) == (["200 OK"], workload.body)


@pytest.mark.parametrize("name", [w.name for w in workloads.TABLE if w.module != "apps"])
def test_page_of_a_framework_has_what_is_expected(name: str, serve: Serve) -> None:
    workload = workloads.find(name)
    server = serve(f"{workload.module}:app", "-b", "127.0.0.1:0", cwd=SERVED)
    target = workload.requests[0].split()[1].decode()
    status, body = server.get(target)
    assert status == 200
    assert workload.accepts(body)


class Body:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, size: int) -> bytes:
        assert size == len(self.data)
        return self.data
