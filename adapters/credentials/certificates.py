"""Certificates: what is wrong with the one that the gateway shows (X.509, PEM; the first of the file is the server's)."""

from datetime import datetime
from pathlib import Path

from cryptography import x509


def fault(path: Path, now: datetime) -> str | None:
    """Return what a browser would refuse it for, as the end of a sentence; None if that cannot be seen from here."""
    try:
        certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
    except (OSError, ValueError, IndexError):
        return "holds no certificate that can be read"
    if certificate.issuer == certificate.subject:
        return "holds a certificate that signed itself, which nobody trusts"
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        until = certificate.not_valid_after_utc
        return (
            f"holds a certificate that is not valid now (from {certificate.not_valid_before_utc:%F} until {until:%F})"
        )
    return None


def ends(path: Path) -> datetime:
    """Return until when a certificate that can be read is valid."""
    return x509.load_pem_x509_certificates(path.read_bytes())[0].not_valid_after_utc
