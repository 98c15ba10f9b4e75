"""The folders that a backup is written to: empty before, with room enough, and removed again if it is broken off."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.operators.backups.manifest import MANIFEST, BackupRefusedError


@contextmanager
def new_folder(folder: Path) -> Iterator[None]:
    """Make a folder, or take one that is empty. What was written into it is removed again if the block fails.

    Raise `BackupRefusedError` if something is in it.
    """
    is_new = not folder.exists()
    require_empty(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    try:
        yield
    except BaseException:
        for inside in folder.iterdir():
            shutil.rmtree(inside) if inside.is_dir() else inside.unlink()
        if is_new:
            folder.rmdir()
        raise


def require_empty(folder: Path) -> None:
    """Raise `BackupRefusedError` if the folder is there and not empty, or is none."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise BackupRefusedError(f"{folder} is no folder: name one that is new or empty.")
    if any(folder.iterdir()):
        is_backup = (folder / MANIFEST).exists()
        what = "a backup already" if is_backup else "something already (perhaps a backup that was broken off)"
        raise BackupRefusedError(f"{folder} holds {what}: name a folder that is new or empty.")


def require_room(place: Path, needed: int, what: str) -> None:
    """Raise `BackupRefusedError` if less than this is free where a folder is, or will be."""
    there = place.resolve()
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if free < needed:
        raise BackupRefusedError(
            f"{what} needs up to {_mib(needed)} where {place} lies, and {_mib(free)} are free there: make room, or name "
            "another place."
        )


def _mib(count: int) -> str:
    return f"{count / 1024**2:,.0f} MiB"
