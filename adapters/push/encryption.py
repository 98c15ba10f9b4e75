"""Encryption of push messages (RFC 8291, aes128gcm of RFC 8188): only the device can read them, not its push service."""

import os
from base64 import b64decode

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from domain.errors import PushKeysInvalidError

POINT_BYTES = 65
AUTH_BYTES = 16
SALT_BYTES = 16
RECORD_BYTES = 4_096
BODY_BYTES_MAX = 4_096  # what every push service takes (RFC 8030 7.2)
LAST_RECORD = b"\x02"  # what ends the text; zeros after it are padding (RFC 8188 2)
KEY_CHARS_MAX = 100


def device_keys(p256dh: str, auth: str) -> tuple[EllipticCurvePublicKey, bytes]:
    """Return a device's public key and secret. Raise `PushKeysInvalidError` unless they are a point of P-256 and 16 bytes."""
    point, secret = _decoded(p256dh), _decoded(auth)
    if len(point) != POINT_BYTES or len(secret) != AUTH_BYTES:
        raise PushKeysInvalidError(pointer="/keys")
    try:
        return EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point), secret
    except ValueError:
        raise PushKeysInvalidError(pointer="/keys/p256dh") from None


def encrypted(
    text: bytes,
    p256dh: str,
    auth: str,
    *,
    padded_bytes: int = 0,
    private: EllipticCurvePrivateKey | None = None,
    salt: bytes = b"",
) -> bytes:
    """Return the body of a push message: one record, padded so that the text seems to have `padded_bytes`.

    Key and salt are made anew for each message; only the RFC's example gives them.
    """
    device, secret = device_keys(p256dh, auth)
    private, salt = private or generate_private_key(SECP256R1()), salt or os.urandom(SALT_BYTES)
    own = point_of(private.public_key())
    shared = private.exchange(ECDH(), device)
    material = _derived(secret, shared, b"WebPush: info\0" + point_of(device) + own, 32)
    key = _derived(salt, material, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derived(salt, material, b"Content-Encoding: nonce\0", 12)
    padded = (text + LAST_RECORD).ljust(padded_bytes + len(LAST_RECORD), b"\0")
    header = salt + RECORD_BYTES.to_bytes(4, "big") + bytes([len(own)]) + own
    body = header + AESGCM(key).encrypt(nonce, padded, None)
    assert len(body) <= BODY_BYTES_MAX, "whoever makes a message keeps it short enough"
    return body


def point_of(key: EllipticCurvePublicKey) -> bytes:
    """Return a public key as an uncompressed point (X9.62)."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _derived(salt: bytes, material: bytes, purpose: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, purpose).derive(material)


def _decoded(text: str) -> bytes:
    """Return the bytes of Base64url, with or without its padding; b"" if it is none. Browsers differ in that."""
    bare = text.rstrip("=")
    try:
        return b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return b""
