"""Wrapping keys: a file beside the master key, outside of Postgres, in which old ones are destroyed.

Each data key is wrapped by the master key together with the newest of these. Once all are wrapped anew and an old one is taken out
of the file, no copy that was made before (a backup, the write-ahead log's archive, a replica, dead rows) can be opened any more, master
key or not. A line is `version made_at master secret`; a file that is not there means that the master key wraps alone (version 0).
"""

import os
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from adapters.key_file import SECRET_BYTES, replace_file
from domain.errors import SetupError

FILE_NAME = "wrapping.keys"


class WrappingKeyError(SetupError):
    """A wrapping key is not there, or its file cannot be read; the sentence says which."""


class WrappingKey(Struct, frozen=True):
    """`master` is the fingerprint of the master key together with which it wraps."""

    version: int
    made_at: datetime
    master: str
    secret: bytes


class WrappingKeys:
    """The wrapping keys of one file, read anew when it changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._keys: dict[int, WrappingKey] = {}

    def newest(self) -> WrappingKey | None:
        """Return the key that wraps what is made now; None: the master key wraps alone."""
        keys = self.every()
        return keys[-1] if keys else None

    def every(self) -> list[WrappingKey]:
        """Return all keys that are left, the oldest first. Raise `WrappingKeyError`."""
        self._read()
        return [self._keys[version] for version in sorted(self._keys)]

    def one(self, version: int) -> WrappingKey:
        """Return a key. Raise `WrappingKeyError` if it is not there."""
        if version not in self._keys:
            self._read()
        if version not in self._keys:
            raise WrappingKeyError(
                f"The wrapping key {version} is not in {self.path}: put back the newest copy of that file that you kept. If it was "
                "taken out on purpose, these keys are of a copy that is too old: take a later backup of keys."
            )
        return self._keys[version]

    def add(self, now: datetime, master: str) -> WrappingKey:
        """Make the next key, durably, for the master key of this fingerprint."""
        version = max((key.version for key in self.every()), default=0) + 1
        made = WrappingKey(version, now, master, os.urandom(SECRET_BYTES))
        self._write([*self.every(), made])
        return made

    def destroy(self, versions: set[int]) -> None:
        """Take keys out of the file, for ever."""
        self._write([key for key in self.every() if key.version not in versions])

    def _read(self) -> None:
        try:
            found = self.path.stat()
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
            if seen == self._seen:
                return
            self._keys = {key.version: key for key in map(_parsed, self.path.read_text().splitlines())}
            self._seen = seen
        except FileNotFoundError:
            self._keys, self._seen = {}, None
        except (OSError, ValueError) as error:
            raise WrappingKeyError(f"The wrapping keys at {self.path} cannot be read: {error}.") from None

    def _write(self, keys: list[WrappingKey]) -> None:
        replace_file(
            self.path, (f"{key.version} {key.made_at.isoformat()} {key.master} {key.secret.hex()}" for key in keys)
        )


def _parsed(line: str) -> WrappingKey:
    version, made_at, master, secret = line.split()
    key = WrappingKey(int(version), datetime.fromisoformat(made_at).astimezone(UTC), master, bytes.fromhex(secret))
    if len(key.secret) != SECRET_BYTES or key.version < 1:
        raise ValueError("a line is no version, time, fingerprint and 64 hexadecimal digits")
    return key
