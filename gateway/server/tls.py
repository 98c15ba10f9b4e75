"""TLS: the gateway's own, where no proxy ends it before. TLS 1.3, or 1.2 with forward secrecy and authenticated ciphers
(RFC 9325), and nothing below."""

import ssl
from pathlib import Path

from domain.errors import SetupError

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


class TlsRefusedError(SetupError):
    """Certificate and key cannot be used. The message names them."""


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return what a listener speaks TLS with. Raises `TlsRefusedError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:  # an SSLError is one
        raise TlsRefusedError(
            f"HANSARD_TLS_CERTIFICATE ({certificate}) and HANSARD_TLS_KEY ({key}) cannot be used: "
            f"{error.strerror or error}. They are PEM files that belong together, the key without a password."
        ) from None
    return context
