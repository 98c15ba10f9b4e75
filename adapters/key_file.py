"""Files of one secret of 32 bytes, as 64 hexadecimal digits, of mode 0600; made whole or not at all."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp

from adapters.syncing import sync

SECRET_BYTES = 32


def make_key_file(path: Path) -> None:
    """Make a secret: written and synced under another name, then linked to its own. One that is there stays."""
    handle, draft = mkstemp(dir=path.parent, prefix=f"{path.name}.")  # of mode 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(os.urandom(SECRET_BYTES).hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first: its key holds
            os.link(draft, path)
    finally:
        os.unlink(draft)
    sync(path.parent)


def read_key_file(path: Path) -> bytes:
    """Return the secret; what is none is returned as b"". Raise `OSError`."""
    secrets = read_key_files_secrets(path)
    return secrets[0] if len(secrets) == 1 else b""


def read_key_files_secrets(path: Path) -> tuple[bytes, ...]:
    """Return all secrets of a file, one a line; () if any of it is none. Raise `OSError`."""
    try:
        secrets = tuple(map(bytes.fromhex, path.read_text().split()))
    except ValueError:
        return ()
    return secrets if all(len(secret) == SECRET_BYTES for secret in secrets) else ()


def replace_file(path: Path, lines: Iterable[str]) -> None:
    """Have a file of mode 0600 hold these lines instead, whole or not at all, durably. Raise `OSError`."""
    handle, draft = mkstemp(dir=path.parent, prefix=f"{path.name}.")  # of mode 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(draft)
        raise
    sync(path.parent)
