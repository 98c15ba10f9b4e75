"""What a witness has seen: of each log the note that it cosigned last, a file each. Nothing is cosigned before it is kept."""

from hashlib import sha256
from pathlib import Path

from adapters.notary.memory import write_whole


class WitnessedLogs:
    """The last checkpoints of the logs that a witness follows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def last(self, origin: str) -> str | None:
        """Return the note that was cosigned last; None where none was."""
        return self.by_digest(digest_of(origin))

    def by_digest(self, digest: str) -> str | None:
        """Return the same, by the SHA-256 of the origin, in hexadecimal."""
        try:
            return (self._folder / f"{digest}.checkpoint").read_text()
        except FileNotFoundError:
            return None

    def keep(self, origin: str, note: str) -> None:
        """Keep a note, on the disk when this returns. Raise `OSError`."""
        write_whole(self._folder / f"{digest_of(origin)}.checkpoint", note)


def digest_of(origin: str) -> str:
    """Return how the logs' files and addresses are named (C2SP tlog-witness 1.1)."""
    return sha256(origin.encode()).hexdigest()
