"""The notary's keys in its folder: the one that signs, and, while a rotation is under way, the one that signs next."""

import os
from pathlib import Path

from adapters.notary.key import NotaryKey, make_notary_secret, read_notary_secret
from adapters.notary.memory import NOTARY_KEY, VERIFIER, write_whole
from adapters.syncing import sync

NEXT_KEY = "notary.key.next"


class Keyring:
    """The keys of one record, in one folder."""

    def __init__(self, folder: Path, origin: str) -> None:
        self._folder = folder
        self._origin = origin

    def current(self) -> NotaryKey | None:
        """Return the key that signs; None where there is none. Raise `NotaryKeyError`."""
        return self._read(NOTARY_KEY)

    def pending(self) -> NotaryKey | None:
        """Return the key that is to sign next; None where no rotation is under way."""
        return self._read(NEXT_KEY)

    def make_pending(self) -> NotaryKey:
        """Make the next key, or return the one that was made already. Raise `NotaryKeyError`."""
        return NotaryKey(make_notary_secret(self._folder / NEXT_KEY), self._origin)

    def promote(self) -> None:
        """Have the next key sign from now on. The one before is gone: nobody can sign with it any more."""
        pending = self.pending()
        assert pending is not None, "a key is made before it is promoted"
        os.replace(self._folder / NEXT_KEY, self._folder / NOTARY_KEY)
        sync(self._folder)
        write_whole(self._folder / VERIFIER, f"{pending.verifier}\n")

    def _read(self, name: str) -> NotaryKey | None:
        secret = read_notary_secret(self._folder / name)
        return None if secret is None else NotaryKey(secret, self._origin)
