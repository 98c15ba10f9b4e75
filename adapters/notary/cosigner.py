"""A witness's key: it cosigns checkpoints (C2SP tlog-cosignature v1); and how a cosignature is verified."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from adapters.notary.key import NoteForgedError
from domain.cosignature import Cosignature, line_of, message_of, read_line
from domain.tree_head import COSIGNATURE, Signature, VerifierKey, read_note


class Cosigner:
    """Cosigns for one witness."""

    def __init__(self, secret: bytes, name: str) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(secret)
        self.verifier = VerifierKey(name, self._private.public_key().public_bytes_raw(), COSIGNATURE)

    def cosign(self, text: str, at: int) -> Signature:
        """Return the line for a checkpoint's text, of this time (seconds since 1970)."""
        return line_of(self.verifier, Cosignature(at, self._private.sign(message_of(text, at))))


def cosigned(note: str, key: VerifierKey) -> Cosignature:
    """Return the cosignature of this witness. Raise `NoteForgedError` where there is none, or none of this text,
    `NoteUnreadableError` where this is no note."""
    text, lines = read_note(note)
    for line in lines:
        if (line.name, line.key_id) == (key.name, key.key_id):
            found = read_line(line)
            try:
                Ed25519PublicKey.from_public_bytes(key.public).verify(found.signature, message_of(text, found.at))
            except InvalidSignature:
                raise NoteForgedError(f"The cosignature of {key.name} is not of this checkpoint.") from None
            return found
    raise NoteForgedError(f"This checkpoint bears no cosignature of {key.name}.")
