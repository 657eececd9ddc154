"""What is wrong with certificates is said before anything is served: the setting, the file, and what is wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.certificates import Pair, authority
from tests.support.server import environment
from tests.tls.conftest import LOCAL


def refused(site: Path, *words: str | Path, check: bool = False) -> str:
    """The last line of a server that does not start."""
    command = [sys.executable, "-m", "fastwsgi", *LOCAL, *map(str, words)]
    if check:
        command.append("--check-config")
    done = subprocess.run(
        command,
        cwd=site,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert b"Traceback" not in done.stderr, done.stderr
    return done.stderr.decode().splitlines()[-1]


@pytest.fixture
def files(site: Path, pair: Pair) -> dict[str, str]:
    """Paths by what is in them."""
    (site / "other").mkdir()
    other = authority().issue(site / "other", "localhost")
    rubbish, locked = site / "rubbish.pem", site / "locked.key"
    rubbish.write_text("nothing\n")
    subprocess.run(
        ("openssl", "ec", "-aes128", "-passout", "pass:x", "-in", pair.keyfile, "-out", locked),
        check=True,
        capture_output=True,
    )
    return {
        "crt": pair.certfile,
        "key": pair.keyfile,
        "other": other.keyfile,
        "rubbish": str(rubbish),
        "locked": str(locked),
        "nowhere": str(site / "nowhere.pem"),
        "ca": str(site / "ca.pem"),
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--keyfile {key}", "keyfile needs a certfile"),
        ("--sni a.test={crt},{key}", "sni needs a certfile"),
        ("--certfile {nowhere}", "certfile: cannot read '{nowhere}': No such file or directory"),
        (
            "--certfile {crt} --keyfile {nowhere}",
            "keyfile: cannot read '{nowhere}': No such file or directory",
        ),
        ("--certfile {crt}", "certfile: there is no key in '{crt}'"),
        (
            "--certfile {rubbish} --keyfile {key}",
            "certfile: there is no certificate in '{rubbish}'",
        ),
        ("--certfile {crt} --keyfile {rubbish}", "keyfile: there is no key in '{rubbish}'"),
        (
            "--certfile {crt} --keyfile {other}",
            "keyfile: the key in '{other}' is not the one of the certificate in '{crt}'",
        ),
        ("--certfile {crt} --keyfile {locked}", "keyfile: the key in '{locked}' needs a password"),
        (
            "--certfile {crt} --keyfile {key} --sni *.a.test={nowhere}",
            "sni: cannot read '{nowhere}'",
        ),
        (
            "--certfile {crt} --keyfile {key} --ca-certs {nowhere}",
            "ca_certs: cannot read '{nowhere}': No such file or directory",
        ),
        (
            "--certfile {crt} --keyfile {key} --ca-certs {rubbish}",
            "ca_certs: there is no certificate in '{rubbish}'",
        ),
        (
            "--certfile {crt} --keyfile {key} --ciphers none",
            "ciphers: OpenSSL knows none of 'none'",
        ),
    ],
)
def test_a_server_that_cannot_speak_tls_does_not_start(
    site: Path, files: dict[str, str], words: str, said: str
) -> None:
    line = refused(site, *words.format(**files).split())
    assert said.format(**files) in line


def test_check_config_reads_the_certificates(site: Path, files: dict[str, str]) -> None:
    line = refused(site, "--certfile", files["crt"], "--keyfile", files["other"], check=True)
    assert "is not the one of the certificate" in line


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        ("return None", "ssl_context has to return an SSLContext, not None"),
        ("raise OSError('no such module')", "ssl_context: OSError: no such module"),
    ],
)
def test_a_hook_that_makes_no_context(
    site: Path, files: dict[str, str], hook: str, said: str
) -> None:
    (site / "gunicorn.conf.py").write_text(f"def ssl_context(config, factory):\n    {hook}\n")
    assert said in refused(site, "--certfile", files["crt"], "--keyfile", files["key"])
