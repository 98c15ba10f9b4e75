"""The notary's memory outside the database: the checkpoint that it signed last, in a file. And its witness: a folder
elsewhere, to which checkpoints are copied.

Whoever turns the database back does not turn these back. The file is written before the checkpoint is told to anybody.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from adapters.syncing import sync
from domain.errors import SetupError
from domain.tree_head import TreeHead

NOTARY_KEY, VERIFIER = "notary.key", "notary.vkey"
LAST_SIGNED, LOCK = "last-signed", "notary.lock"


class NotaryRunsAlreadyError(SetupError):
    """Another notary signs with this folder's key; one of them must end."""


class LastSigned:
    """The note that was signed last."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LAST_SIGNED

    def read(self) -> str | None:
        """Return the note; None where nothing was ever signed."""
        try:
            return self._path.read_text()
        except FileNotFoundError:
            return None

    def origin(self) -> str | None:
        """Return of which record that was; None where nothing was ever signed."""
        note = self.read()
        return None if note is None else note.partition("\n")[0]

    def write(self, note: str) -> None:
        """Remember a note, whole or not at all, on the disk when this returns."""
        write_whole(self._path, note)

    def set_aside(self, moment: datetime) -> Path | None:
        """Keep what was signed last under another name, and begin anew; return that name, None where there was nothing."""
        if not self._path.exists():
            return None
        aside = self._path.with_name(f"{LAST_SIGNED}.until-{moment:%Y%m%dT%H%M%SZ}")
        os.replace(self._path, aside)
        sync(self._path.parent)
        return aside


class WitnessFolder:
    """A folder that keeps a checkpoint a file, named by the record and the size of its tree; nothing in it is written twice."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, head: TreeHead, note: str) -> None:
        """Write a checkpoint. Raise `OSError`."""
        place = self._folder / head.origin.rpartition("/")[2]
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"{head.size:019d}.checkpoint"
        if not path.exists():
            write_whole(path, note)

    def notes(self, origin: str) -> Iterator[tuple[Path, str]]:
        """Yield what was kept of a record, the smallest tree first."""
        for path in sorted((self._folder / origin.rpartition("/")[2]).glob("*.checkpoint")):
            yield path, path.read_text()


def write_whole(path: Path, text: str) -> None:
    """Write a file and have it on the disk, under its name, when this returns."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
    sync(path.parent)


@contextmanager
def held(folder: Path, *, what: str = "notary") -> Iterator[None]:
    """Be the one notary, or witness, of this folder. Raise `NotaryRunsAlreadyError`."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise NotaryRunsAlreadyError(
                f"Another {what} signs with the key in {folder} already: one is enough."
            ) from None
        yield
