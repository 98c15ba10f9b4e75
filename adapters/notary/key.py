"""The notary's key, a file of mode 0600 that no other process reads: it signs checkpoints (Ed25519), and nothing else."""

from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from adapters.key_file import make_key_file, read_key_file
from domain.errors import SetupError
from domain.tree_head import (
    NoteUnreadableError,
    Signature,
    TreeHead,
    VerifierKey,
    read_note,
    read_tree_head,
    signed_note,
)


class NotaryKeyError(SetupError):
    """The notary's key cannot be read; the sentence says what to do."""


class NoteForgedError(NoteUnreadableError):
    """A note bears no signature of this key over this text."""


class NotaryKey:
    """Signs checkpoints of one record."""

    def __init__(self, secret: bytes, origin: str) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(secret)
        self.verifier = VerifierKey(origin, self._private.public_key().public_bytes_raw())

    def sign(self, size: int, root: bytes) -> str:
        """Return the signed checkpoint of a tree."""
        text = TreeHead(self.verifier.name, size, root).text()
        return signed_note(text, [self.signature(text)])

    def signature(self, text: str) -> Signature:
        """Return this key's line below a text."""
        return Signature(self.verifier.name, self.verifier.key_id, self._private.sign(text.encode()))


def verified(note: str, key: VerifierKey) -> TreeHead:
    """Return the tree head that this key has signed; other signatures are passed over.

    Raise `NoteForgedError` where it has not, `NoteUnreadableError` where this is no checkpoint.
    """
    head = read_tree_head(read_note(note)[0])
    if head.origin != key.name:
        raise NoteForgedError(f"A checkpoint of {head.origin} bears no signature of {key}.")
    require_signed(note, key)
    return head


def require_signed(note: str, key: VerifierKey) -> None:
    """Raise `NoteForgedError` unless this key has signed this text; other signatures are passed over."""
    text, signatures = read_note(note)
    ours = [each for each in signatures if (each.name, each.key_id) == (key.name, key.key_id)]
    if not ours:
        raise NoteForgedError(f"A checkpoint of {_first_line(text)} bears no signature of {key}.")
    public = Ed25519PublicKey.from_public_bytes(key.public)
    try:
        for each in ours:
            public.verify(each.signature, text.encode())
    except InvalidSignature:
        raise NoteForgedError(f"The signature under a checkpoint of {_first_line(text)} is not of its text.") from None


def read_notary_secret(path: Path) -> bytes | None:
    """Return the secret of the key; None where there is no file. Raise `NotaryKeyError`."""
    try:
        secret = read_key_file(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NotaryKeyError(
            f"The notary's key at {path} cannot be read ({error.strerror}): it is a file of mode 0600 that belongs to the "
            "user whom the notary runs as."
        ) from None
    if not secret:
        raise NotaryKeyError(
            f"The notary's key at {path} is not 64 hexadecimal digits: put back the copy that you kept."
        )
    return secret


def make_notary_secret(path: Path) -> bytes:
    """Make the key, and return its secret. Raise `NotaryKeyError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        make_key_file(path)
    except OSError as error:
        raise NotaryKeyError(
            f"No notary's key can be made at {path} ({error.strerror}): name a folder in HANSARD_NOTARY_FOLDER that the "
            "notary may write to."
        ) from None
    return read_key_file(path)


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
