"""Syncing: what was written, and its name in its folder, survives a power cut."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Have what stands at a path, a file or a folder with the names in it, reach the disk. Raise `OSError`."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
