"""Bind addresses: what is understood, what is refused, and what the bound sockets are like."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

import pytest

from fastwsgi.errors import ConfigError
from fastwsgi.net import listener
from fastwsgi.net.listener import UNSENT, bind, display, parse_address

UNDERSTOOD: dict[str, tuple[str, int] | str | int] = {
    "127.0.0.1": ("127.0.0.1", 8000),
    "127.0.0.1:80": ("127.0.0.1", 80),
    "127.0.0.1:0": ("127.0.0.1", 0),
    "0.0.0.0:65535": ("0.0.0.0", 65535),
    ":9000": ("0.0.0.0", 9000),
    "": ("0.0.0.0", 8000),
    "localhost": ("localhost", 8000),
    "my-host.example:81": ("my-host.example", 81),
    "[::1]": ("::1", 8000),
    "[::1]:8001": ("::1", 8001),
    "[::]:0": ("::", 0),
    "[fe80::1%eth0]:80": ("fe80::1%eth0", 80),
    "[::ffff:10.0.0.1]:80": ("::ffff:10.0.0.1", 80),
    "tcp://127.0.0.1:80": ("127.0.0.1", 80),
    "tcp://localhost": ("localhost", 8000),
    "tcp://[::1]:80": ("::1", 80),
    "unix:/run/app.sock": "/run/app.sock",
    "unix:///run/app.sock": "/run/app.sock",
    "unix:app.sock": "app.sock",
    "unix:@name": "\0name",
    "unix://@name": "\0name",
    "unix:\0name": "\0name",
    "\0name": "\0name",
    "unix:/tmp/" + "x" * 102: "/tmp/" + "x" * 102,
    "fd://0": 0,
    "fd://17": 17,
}

REFUSED = {
    "127.0.0.1:": "not a port",
    "127.0.0.1:http": "not a port",
    "127.0.0.1:-1": "not a port",
    "127.0.0.1:+80": "not a port",
    "127.0.0.1: 80": "not a port",
    "127.0.0.1:8_0": "not a port",
    "127.0.0.1:٣": "not a port",
    "127.0.0.1:65536": "not a port",
    "127.0.0.1:000080": "not a port",
    "::1": "'[::1]:8000'",
    "::1:8000": "'[::1]:8000'",
    "a:1:2": "'[::1]:8000'",
    "[::1": "'[::1]:8000'",
    "[::1]8000": "'[::1]:8000'",
    "[127.0.0.1]:80": "'[::1]:8000'",
    "[]:80": "'[::1]:8000'",
    "[::1]:port": "not a port",
    "http://127.0.0.1:8000": "write HOST:PORT",
    "udp://127.0.0.1:8000": "write HOST:PORT",
    "127.0.0.1/path": "not a host name",
    "user@host:80": "not a host name",
    "two words:80": "not a host name",
    "host\n:80": "not a host name",
    "unix:": "no path",
    "unix://": "no path",
    "unix:@": "no path",
    "unix:/run/\0app": "NUL",
    "unix:/tmp/" + "x" * 103: "longer than 107 bytes",
    "unix:/tmp/" + "é" * 52: "longer than 107 bytes",
    "fd://": "takes a number",
    "fd://stdin": "takes a number",
    "fd://-1": "takes a number",
    "fd://1 ": "takes a number",
    "fd://9999999999": "takes a number",
}


@pytest.mark.parametrize("address", UNDERSTOOD)
def test_forms_understood(address: str) -> None:
    assert parse_address(address) == UNDERSTOOD[address]


@pytest.mark.parametrize("address", REFUSED)
def test_forms_refused_with_one_clear_line(address: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_address(address)
    line = str(caught.value)
    assert REFUSED[address] in line
    assert repr(address) in line
    assert len(line.splitlines()) == 1


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")


def answers(sock: socket.socket) -> bool:
    """Whether a client that connects to the socket is accepted by it, with close-on-exec set."""
    with socket.socket(sock.family, socket.SOCK_STREAM) as client:
        client.connect(sock.getsockname())
        fd, _ = sock._accept()  # type: ignore[attr-defined]
        try:
            return not os.get_inheritable(fd)
        finally:
            os.close(fd)


def test_tcp() -> None:
    with bind("127.0.0.1:0") as sock:
        assert answers(sock)
        assert not sock.getblocking()
        assert not sock.get_inheritable()
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
        host, port = sock.getsockname()
        assert display(sock) == f"http://{host}:{port}" == f"http://127.0.0.1:{port}"


@needs_ipv6
def test_tcp_over_ipv6() -> None:
    with bind("[::1]:0") as sock:
        assert answers(sock)
        assert display(sock) == f"http://[::1]:{sock.getsockname()[1]}"


def test_accepted_sockets_have_nodelay() -> None:
    with bind("127.0.0.1:0") as sock, socket.create_connection(sock.getsockname()):
        sock.setblocking(True)
        accepted, _ = sock.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("inherited", [False, True])
def test_the_kernel_takes_little_for_a_client_that_does_not_read(inherited: bool) -> None:
    address = "127.0.0.1:0"
    if inherited:
        address = f"fd://{socket.create_server(('127.0.0.1', 0)).detach()}"
    with bind(address) as sock, socket.create_connection(sock.getsockname()) as client:
        sock.setblocking(True)
        accepted, _ = sock.accept()
        with accepted:
            accepted.setblocking(False)
            taken = accepted.send(bytes(1 << 24))
        # What the client's side has room for is sent already.
        assert taken <= UNSENT + client.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


def test_a_host_name_is_resolved_to_ipv4_where_it_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    sixth = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0))
    fourth = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))
    monkeypatch.setattr(listener, "getaddrinfo", lambda *_, **__: [sixth, fourth])
    with bind("some-name:0") as sock:
        assert sock.getsockname()[0] == "127.0.0.1"


def test_localhost_is_resolved() -> None:
    with bind("localhost:0") as sock:
        assert answers(sock)


def test_a_name_that_does_not_resolve_is_an_os_error() -> None:
    with pytest.raises(socket.gaierror):
        bind("no..name:0")


def test_a_name_that_no_resolver_can_be_asked_for_is_refused() -> None:
    with pytest.raises(ConfigError, match="not a host name"):
        bind("ü" * 64 + ":0")


def test_a_port_in_use_is_an_os_error() -> None:
    with bind("127.0.0.1:0") as sock:
        with pytest.raises(OSError) as caught:  # noqa: PT011
            bind(f"127.0.0.1:{sock.getsockname()[1]}")
        assert caught.value.errno == errno.EADDRINUSE


def test_reuse_port_lets_two_sockets_share_it() -> None:
    with bind("127.0.0.1:0", reuse_port=True) as first:
        port = first.getsockname()[1]
        with bind(f"127.0.0.1:{port}", reuse_port=True) as second:
            assert second.getsockname() == first.getsockname()


def test_the_backlog_is_the_kernels_queue() -> None:
    with bind("127.0.0.1:0", backlog=7) as sock:
        # On a listening socket tcpi_sacked (the 6th counter) is the longest the queue may become.
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 64)
        assert int.from_bytes(info[28:32], "little") == 7


def test_unix(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with bind(f"unix:{path}") as sock:
        assert answers(sock)
        assert not sock.getblocking()
        assert display(sock) == f"unix:{path}"


def test_an_abstract_unix_socket_has_no_file(tmp_path: Path) -> None:
    name = f"fastwsgi-test-{os.getpid()}"
    with bind(f"unix:@{name}") as sock:
        assert answers(sock)
        assert display(sock) == f"unix:@{name}"
        assert not Path(f"@{name}").exists()


@pytest.mark.parametrize(("umask", "mode"), [(0, 0o777), (0o117, 0o660), (0o077, 0o700)])
def test_the_umask_gives_the_permissions_of_a_unix_socket(
    tmp_path: Path, umask: int, mode: int
) -> None:
    before = os.umask(0o022)
    try:
        with bind(f"unix:{tmp_path}/s", umask=umask):
            assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == mode
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


def test_a_stale_unix_socket_is_replaced(tmp_path: Path) -> None:
    bind(f"unix:{tmp_path}/s").close()
    assert (tmp_path / "s").is_socket()
    with bind(f"unix:{tmp_path}/s") as sock:
        assert answers(sock)


@pytest.mark.parametrize("backlog", [2048, 0])
def test_a_unix_socket_that_answers_is_left_alone(tmp_path: Path, backlog: int) -> None:
    with bind(f"unix:{tmp_path}/s", backlog=backlog) as sock:
        waiting = socket.socket(socket.AF_UNIX)
        with waiting:
            # With a backlog of 0 this fills the queue, and a further connect would block.
            waiting.connect(f"{tmp_path}/s")
            with pytest.raises(OSError) as caught:  # noqa: PT011
                bind(f"unix:{tmp_path}/s")
            assert caught.value.errno == errno.EADDRINUSE
            fd, _ = sock._accept()  # type: ignore[attr-defined]
            os.close(fd)


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("precious")
    with pytest.raises(FileExistsError):
        bind(f"unix:{tmp_path}/s")
    assert (tmp_path / "s").read_text() == "precious"


def test_a_link_is_not_followed_to_the_socket_it_names(tmp_path: Path) -> None:
    bind(f"unix:{tmp_path}/s").close()
    (tmp_path / "link").symlink_to(tmp_path / "s")
    with pytest.raises(FileExistsError):
        bind(f"unix:{tmp_path}/link")
    assert (tmp_path / "s").is_socket()


def test_an_inherited_socket_is_adopted() -> None:
    parent = socket.create_server(("127.0.0.1", 0))
    os.set_inheritable(parent.fileno(), True)
    with bind(f"fd://{parent.detach()}") as sock:
        assert answers(sock)
        assert not sock.getblocking()
        assert not sock.get_inheritable()
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert display(sock).startswith("http://127.0.0.1:")


def test_an_inherited_unix_socket_is_adopted(tmp_path: Path) -> None:
    parent = socket.socket(socket.AF_UNIX)
    parent.bind(f"{tmp_path}/s")
    parent.listen()
    with bind(f"fd://{parent.detach()}") as sock:
        assert answers(sock)
        assert display(sock) == f"unix:{tmp_path}/s"


def test_a_descriptor_that_does_not_listen_is_refused_and_left_open() -> None:
    with socket.socket() as plain:
        with pytest.raises(OSError, match="not a listening socket"):
            bind(f"fd://{plain.fileno()}")
        plain.bind(("127.0.0.1", 0))
    with open(os.devnull, "rb") as file:
        with pytest.raises(OSError) as caught:  # noqa: PT011
            bind(f"fd://{file.fileno()}")
        assert caught.value.errno == errno.ENOTSOCK
        os.fstat(file.fileno())


def test_a_descriptor_that_is_not_open_is_refused() -> None:
    with pytest.raises(OSError) as caught:  # noqa: PT011
        bind("fd://987654")
    assert caught.value.errno == errno.EBADF


def test_a_failing_bind_leaves_no_descriptor(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    for address in (f"unix:{tmp_path}/none/s", "203.0.113.1:0"):
        with pytest.raises(OSError):  # noqa: PT011
            bind(address)
    assert len(os.listdir("/proc/self/fd")) == len(before)
