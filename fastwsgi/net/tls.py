"""TLS of the listening sockets: certificates, which of them a client gets, and that they stay fresh.

An `Endpoint` makes the `Transport` of each connection from the context in use. It is made in the
master, where the keys can be read, and inherited by every worker; so all workers know each other's
session tickets. Once a second a worker looks whether the files have changed, and makes a new
context of them: for the connections to come, as those that are open keep theirs.

Laws:

1. A context is made anew as a whole and used when it is complete: a certificate whose key does not
   match, or cannot be read any more, changes nothing but the log.
2. Files are read when they have been the same for a second, as a certificate and its key are seldom
   replaced at one moment.

Only this module imports ssl, and it is imported only where TLS is configured.
"""

from __future__ import annotations

import logging
import os
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, NoReturn

from fastwsgi._tls import Transport
from fastwsgi.errors import ConfigError

# What distinguished names are abbreviated by (RFC 4514, 3), as OpenSSL and with it nginx do.
SHORT_NAMES: Final[Mapping[str, str]] = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "streetAddress": "street",
    "userId": "UID",
}

Factory = Callable[[], ssl.SSLContext]
Customise = Callable[[Factory], ssl.SSLContext]
State = tuple[tuple[int, int, int] | None, ...]


class Certificate(NamedTuple):
    """Files of a certificate chain and of its key; None: the key is in the former, too.

    `setting` and `key_setting` name where they were given, for messages.
    """

    certfile: str
    keyfile: str | None
    setting: str = "certfile"
    key_setting: str = "keyfile"

    @property
    def key(self) -> tuple[str, str]:
        """Where the key is: the setting, and the file."""
        if self.keyfile is None:
            return self.setting, self.certfile
        return self.key_setting, self.keyfile


class Session(ssl.SSLObject):
    """One connection's; `server_name` is what the client called the server (SNI), "" for nothing."""

    server_name = ""


class Endpoint:
    """What all TLS connections of a server have in common.

    `names` are the certificates by name, in small letters, perhaps "*.example.org"; a client that
    asks for none of them gets `certificate`. `ca_certs` is the file of the authorities that sign
    the clients' certificates, `cert_reqs` 0, 1 or 2: whether those are asked for, or needed.
    `ciphers` is a list as OpenSSL writes it, for TLS 1.2. `customise` is called for each certificate
    with what makes a default context of it, and returns the context. Raises ConfigError.
    """

    def __init__(
        self,
        certificate: Certificate,
        names: Mapping[str, Certificate],
        *,
        ca_certs: str | None,
        cert_reqs: int,
        ciphers: str | None,
        customise: Customise | None,
    ) -> None:
        self._certificate = certificate
        self._names = names
        self._ca_certs = ca_certs
        self._cert_reqs = cert_reqs
        self._ciphers = ciphers
        self._customise = customise
        files = {ca_certs}
        for entry in (certificate, *names.values()):
            files |= {entry.certfile, entry.keyfile}
        self._files = sorted(filter(None, files))
        self._log = logging.getLogger("fastwsgi.error")
        self._state = self._seen = look(self._files)
        self._by_name: Mapping[str, ssl.SSLContext] = {}
        self._context = self._make()

    def accept(self) -> Transport:
        """Return the transport of a new connection."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = self._context.wrap_bio(incoming, outgoing, server_side=True)
        return Transport(self, session, incoming, outgoing)

    def catch_up(self) -> None:
        """Read what has changed since the context was made. To be called in a worker's boot."""
        self._seen = look(self._files)
        self.check()

    def check(self) -> None:
        """Read what has changed and is not changing any more. To be called once a second."""
        state = look(self._files)
        if state == self._seen and state != self._state:
            self._state = state
            self._renew()
        self._seen = state

    def describe(self, session: Session, extra: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return `extra` with what environs say of a session whose handshake is over."""
        cipher = session.cipher()
        items = {
            **(extra or {}),
            "SSL_PROTOCOL": session.version() or "",
            "SSL_CIPHER": cipher[0] if cipher else "",
        }
        if session.server_name:
            items["SSL_SERVER_NAME"] = session.server_name
        if session.context.verify_mode is not ssl.CERT_NONE:
            items |= describe_client(session)
        return items

    def report(self, remote_addr: str, error: OSError) -> None:
        """Log what a client did wrong; only for debugging, as anybody can do it."""
        self._log.debug("TLS failed from ip=%s: %s", remote_addr, error)

    def _renew(self) -> None:
        try:
            self._context = self._make()
        except Exception as error:
            self._log.error("The certificates have changed, going on with those before: %s", error)
        else:
            self._log.info("The certificates have changed and were read anew")

    def _make(self) -> ssl.SSLContext:
        context = self._make_context(self._certificate)
        by_name = {name: self._make_context(entry) for name, entry in self._names.items()}
        if context.sni_callback is None:
            context.sni_callback = self._choose
        elif by_name:
            raise ConfigError("sni and an sni_callback set by ssl_context exclude each other")
        context.sslobject_class = Session
        self._by_name = by_name
        return context

    def _make_context(self, certificate: Certificate) -> ssl.SSLContext:
        if self._customise is None:
            return self._make_default(certificate)
        try:
            context = self._customise(partial(self._make_default, certificate))
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(f"ssl_context: {type(error).__name__}: {error}") from error
        if not isinstance(context, ssl.SSLContext):
            raise ConfigError(f"ssl_context has to return an SSLContext, not {context!r}")
        return context

    def _make_default(self, certificate: Certificate) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self._ca_certs)
        except OSError as error:
            raise ConfigError(f"ca_certs: {blame(self._ca_certs or '', error)}") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        context.verify_mode = ssl.VerifyMode(self._cert_reqs)
        load(context, certificate)
        if self._ciphers:
            try:
                context.set_ciphers(self._ciphers)
            except ssl.SSLError:
                raise ConfigError(f"ciphers: OpenSSL knows none of {self._ciphers!r}") from None
        return context

    def _choose(self, session: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """Take the certificate for what the client calls the server, if anything (RFC 6066, 3)."""
        if name is None:
            return
        assert isinstance(session, Session)
        name = session.server_name = name.lower()
        wildcard = "*." + name.partition(".")[2]
        found = self._by_name.get(name) or self._by_name.get(wildcard)
        if found is not None:
            session.context = found


def look(files: Sequence[str]) -> State:
    """What tells whether files are the same as before; None for one that cannot be found."""
    return tuple(map(identity, files))


def identity(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def load(context: ssl.SSLContext, certificate: Certificate) -> None:
    """Load a certificate and its key. Raises ConfigError that says which file is wrong, and how."""
    for setting, path in ((certificate.setting, certificate.certfile), certificate.key):
        try:
            with open(path, "rb"):
                pass
        except OSError as error:
            raise ConfigError(f"{setting}: {blame(path, error)}") from None

    def refuse_password() -> NoReturn:
        setting, path = certificate.key
        raise ConfigError(
            f"{setting}: the key in {path!r} needs a password; give one without, or load it in an"
            " ssl_context hook"
        )

    try:
        context.load_cert_chain(certificate.certfile, certificate.keyfile, refuse_password)
    except ssl.SSLError as error:
        raise ConfigError(diagnose(certificate, error)) from None


def diagnose(certificate: Certificate, error: ssl.SSLError) -> str:
    """Why OpenSSL takes no such pair of files."""
    certfile = certificate.certfile
    setting, key = certificate.key
    if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
        return f"{setting}: the key in {key!r} is not the one of the certificate in {certfile!r}"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certfile)
    except ssl.SSLError as wrong:
        return f"{certificate.setting}: {blame(certfile, wrong)}"
    with open(key, "rb") as file:
        if not re.search(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----", file.read()):
            return f"{setting}: there is no key in {key!r}; a file in PEM format is needed"
    return (
        f"{setting}: OpenSSL refuses the key in {key!r} of the certificate in {certfile!r}: {error}"
    )


def blame(path: str, error: OSError) -> str:
    """A file that cannot be used, and why."""
    if isinstance(error, ssl.SSLError):
        return f"there is no certificate in {path!r}; a file in PEM format is needed"
    return f"cannot read {path!r}: {error.strerror}"


def describe_client(session: Session) -> dict[str, str]:
    """What environs say of the client's certificate, by the names of Apache and nginx."""
    der = session.getpeercert(binary_form=True)
    if der is None:
        return {"SSL_CLIENT_VERIFY": "NONE"}
    found = session.getpeercert() or {}
    return {
        "SSL_CLIENT_VERIFY": "SUCCESS",
        "SSL_CLIENT_CERT": ssl.DER_cert_to_PEM_cert(der),
        "SSL_CLIENT_S_DN": distinguished_name(found["subject"]),
        "SSL_CLIENT_I_DN": distinguished_name(found["issuer"]),
    }


def distinguished_name(parts: Any) -> str:
    """A name as text, the most specific part first (RFC 4514, 2)."""
    return ",".join(
        "+".join(f"{SHORT_NAMES.get(kind, kind)}={escape(value)}" for kind, value in part)
        for part in reversed(parts)
    )


def escape(value: str) -> str:
    r"""A value of a distinguished name (RFC 4514, 2.4): , becomes \, and so on."""
    text = re.sub(r'([,+"\\<>;])', r"\\\1", value).replace("\0", "\\00")
    text = re.sub(r"^([ #])", r"\\\1", text)
    return re.sub(r" $", r"\\ ", text)
