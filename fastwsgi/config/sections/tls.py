"""Certificates, and what a TLS handshake must bring."""

from __future__ import annotations

from typing import ClassVar

from fastwsgi.config.checks import between, certificates, flag, optional_string
from fastwsgi.config.setting import Setting


class Tls:
    """The rows of this section."""

    SECTION: ClassVar = "SSL"

    keyfile = Setting(
        optional_string,
        None,
        "--keyfile",
        metavar="FILE",
        text="The key of the certificate, in PEM format. Without one it is looked for in certfile.",
    )
    certfile = Setting(
        optional_string,
        None,
        "--certfile",
        metavar="FILE",
        text="The certificate, and behind it those of the authorities in between, in PEM format. With"
        " one, all the addresses speak TLS, 1.2 or later. It is read anew when it changes.",
    )
    sni = Setting(
        certificates,
        (),
        "--sni",
        metavar="HOST=CERT,KEY",
        ours=True,
        text="A certificate for clients that ask for this host, which may be as *.example.org; all"
        " others get certfile. May be given several times.",
    )
    ca_certs = Setting(
        optional_string,
        None,
        "--ca-certs",
        metavar="FILE",
        text="The certificates of the authorities that sign those of clients, in PEM format.",
    )
    cert_reqs = Setting(
        between(0, 2),
        0,
        "--cert-reqs",
        metavar="INT",
        text="Whether clients need a certificate: 0 no, 1 those that have one show it, 2 yes.",
    )
    ciphers = Setting(
        optional_string,
        None,
        "--ciphers",
        metavar="LIST",
        text="The ciphers for TLS 1.2, as OpenSSL writes them.",
    )
    ssl_version = Setting(
        lambda value: value,
        2,  # ssl.PROTOCOL_TLS, gunicorn's default, without importing ssl
        "--ssl-version",
        metavar="NAME",
        text="Read for gunicorn's sake; the hook ssl_context can set minimum_version.",
        remark="it has no effect, as in gunicorn; the hook ssl_context can set minimum_version",
    )
    suppress_ragged_eofs = Setting(
        flag,
        True,
        "--suppress-ragged-eofs",
        text="Read for gunicorn's sake. A request that is cut off is refused, however the connection"
        " ended.",
    )
    do_handshake_on_connect = Setting(
        flag,
        False,
        "--do-handshake-on-connect",
        text="Read for gunicorn's sake. No handshake keeps a worker waiting.",
    )
