"""Authorities, certificates and clients of TLS; each authority is made once for a whole run."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import trustme

from fastwsgi.net.tls import Certificate, Customise, Endpoint

ENOUGH = 1 << 20  # bytes encrypted and not taken by the kernel from which a client may send no more


@dataclass(frozen=True)
class Pair:
    """The files of a certificate and its key, and who is in it."""

    certfile: str
    keyfile: str
    subject: str

    @property
    def options(self) -> list[str]:
        return ["--certfile", self.certfile, "--keyfile", self.keyfile]

    @property
    def certificate(self) -> Certificate:
        return Certificate(self.certfile, self.keyfile)


class Authority:
    """Signs certificates and writes them to files; `context` is a client that trusts it."""

    def __init__(self) -> None:
        self._ca = trustme.CA()
        self.pem = self._ca.cert_pem.bytes().decode()

    def write(self, folder: Path) -> str:
        path = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(path)
        return str(path)

    def issue(self, folder: Path, *hosts: str, name: str = "server", common: str = "") -> Pair:
        """Write `name`.crt and `name`.key into `folder`, each in one step."""
        leaf = self._ca.issue_cert(*hosts, common_name=common or hosts[0])
        pair = Pair(str(folder / f"{name}.crt"), str(folder / f"{name}.key"), common or hosts[0])
        replace(pair.certfile, b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        replace(pair.keyfile, leaf.private_key_pem.bytes())
        return pair

    def context(self, client: Pair | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.pem)
        if client is not None:
            context.load_cert_chain(client.certfile, client.keyfile)
        return context


def replace(path: str, content: bytes) -> None:
    """Put a new file in the place of an old one, as those do who renew certificates."""
    new = Path(f"{path}.new")
    new.write_bytes(content)
    os.replace(new, path)


@functools.cache
def authority() -> Authority:
    return Authority()


@functools.cache
def client_context() -> ssl.SSLContext:
    return authority().context()


@functools.cache
def localhost() -> Pair:
    """The certificate of a server called localhost, as long as nobody changes it."""
    return authority().issue(Path(tempfile.mkdtemp(prefix="certificates-")), "localhost")


def make_endpoint(
    pair: Pair | None = None,
    names: Mapping[str, Pair] | None = None,
    *,
    ca_certs: str | None = None,
    cert_reqs: int = 0,
    ciphers: str | None = None,
    customise: Customise | None = None,
) -> Endpoint:
    """The TLS of a server, for servers built inside a test; it is called localhost unless said."""
    return Endpoint(
        (pair or localhost()).certificate,
        {name: found.certificate for name, found in (names or {}).items()},
        ca_certs=ca_certs,
        cert_reqs=cert_reqs,
        ciphers=ciphers,
        customise=customise,
    )


class TlsSocket:
    """A non-blocking client socket with TLS on it, as far as tests use one.

    An end without close_notify is a ConnectionResetError: the stream was cut off.
    """

    def __init__(
        self, raw: socket.socket, context: ssl.SSLContext, name: str = "localhost"
    ) -> None:
        self.raw = raw
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        self.left = b""  # encrypted, and not taken by the kernel
        self.ended = False

    def shake_hands(self) -> bool:
        """Go on with the handshake as far as it goes; whether it is over."""
        with contextlib.suppress(BlockingIOError):
            self._fill()
        try:
            self.session.do_handshake()
        except ssl.SSLWantReadError:
            self.flush()
            return False
        self.flush()
        return True

    def send(self, data: bytes | memoryview) -> int:
        self.flush()
        if len(self.left) > ENOUGH:
            raise BlockingIOError
        if self.ended:  # what follows close_notify is nothing that a server may look at
            return self.raw.send(data)
        taken = self.session.write(data[:65536]) if data else 0
        self.flush()
        return taken

    def recv(self, size: int) -> bytes:
        while True:
            try:
                return self.session.read(size)
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLWantReadError:
                self.flush()
            if not self._fill():
                raise ConnectionResetError

    def _fill(self) -> bool:
        data = self.raw.recv(1 << 18)
        self.incoming.write(data)
        return bool(data)

    def flush(self) -> None:
        """Send what is encrypted, as far as the kernel takes it."""
        self.left += self.outgoing.read()
        with contextlib.suppress(BlockingIOError):
            while self.left:
                self.left = self.left[self.raw.send(self.left) :]

    def shutdown(self, how: int) -> None:
        """Say by close_notify that nothing follows, and by TCP."""
        self.ended = True
        with contextlib.suppress(ssl.SSLError):
            self.session.unwrap()
        self.flush()
        self.raw.shutdown(how)

    def setsockopt(self, level: int, name: int, value: int | bytes) -> None:
        self.raw.setsockopt(level, name, value)

    def fileno(self) -> int:
        return self.raw.fileno()

    def close(self) -> None:
        self.raw.close()
