"""Certificates for tests: an authority, and what it signs for 127.0.0.1."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


class FileSnapshot(NamedTuple):
    certificate: Path
    key: Path
    authority: Path


def made(folder: Path, *, days: int = 90, self_signed: bool = False) -> FileSnapshot:
    """Make a key and a certificate of 127.0.0.1, valid since yesterday and for so many days from today."""
    root, key = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    authority = _signed("an authority", root, "an authority", root, days)
    leaf = _signed("a server", key, *(("a server", key) if self_signed else ("an authority", root)), days)
    shown = FileSnapshot(folder / "server.pem", folder / "server.key", folder / "authority.pem")
    shown.certificate.write_bytes(leaf.public_bytes(Encoding.PEM))
    shown.authority.write_bytes(authority.public_bytes(Encoding.PEM))
    shown.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    shown.key.chmod(0o600)
    return shown


def _signed(
    name: str, key: EllipticCurvePrivateKey, by: str, signer: EllipticCurvePrivateKey, days: int
) -> x509.Certificate:
    today = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(by))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=max(1, 1 - days)))
        .not_valid_after(today + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=name == "an authority", path_length=None), critical=True)
        .sign(signer, SHA256())
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
