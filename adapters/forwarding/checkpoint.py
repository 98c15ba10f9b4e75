"""How far a forwarder has got: a file with the record's id and the last position that the other side has taken.

It is written whole, and on the disk before it counts. So a forwarder that is killed sends some entries again, and skips none.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from adapters.notary.memory import write_whole
from domain.errors import SetupError
from domain.ids import RecordId


class ForwarderRunsAlreadyError(SetupError):
    """Another forwarder holds this checkpoint; one of them must end, or have a checkpoint of its own (--checkpoint)."""


class CheckpointUnusableError(SetupError):
    """The checkpoint is of another record, or unreadable; the sentence says what to do."""


class Checkpoint:
    """The checkpoint of one destination."""

    def __init__(self, path: Path, record: RecordId) -> None:
        self.path = path
        self._record = record

    def read(self) -> int | None:
        """Return the last position that was taken; None where nothing ever was. Raise `CheckpointUnusableError`."""
        try:
            record, position = self.path.read_text().split()
            found = RecordId(UUID(record)), int(position)
        except FileNotFoundError:
            return None
        except ValueError:
            raise CheckpointUnusableError(f"{self.path} is no checkpoint: --anew begins without it.") from None
        if found[0] != self._record:
            raise CheckpointUnusableError(
                f"{self.path} is of the record {found[0]}, and this one is {self._record} (restored, or another deployment): "
                "--anew begins without it."
            )
        return found[1]

    def write(self, position: int) -> None:
        """Remember a position, on the disk when this returns."""
        write_whole(self.path, f"{self._record} {position}\n")

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Be the one forwarder of a checkpoint. Raise `ForwarderRunsAlreadyError`."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ForwarderRunsAlreadyError(ForwarderRunsAlreadyError.__doc__) from None
    finally:
        os.close(lock)
