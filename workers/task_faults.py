"""Faults of tasks: which go away by themselves, and what operators read of them. Nothing of what was worked on is in the words."""

from adapters.media.child_process import ChildDiedError
from domain.errors import BusyError
from domain.ports.blobs import BlobMissingError, BlobsUnavailableError
from domain.ports.record import RecordUnavailableError
from domain.ports.scanner import ScannerUnavailableError
from domain.ports.tasks import TasksUnavailableError

# What goes away by itself, sooner or later.
PASSING = (
    BlobMissingError,
    BlobsUnavailableError,
    RecordUnavailableError,
    ScannerUnavailableError,
    TasksUnavailableError,
    ChildDiedError,
    BusyError,
)


def in_words(error: Exception, known: tuple[type[Exception], ...] = PASSING) -> str:
    """Return a sentence: what errors of this kind mean, and never what this one said, which may name a file or an address."""
    if not isinstance(error, known):
        return f"{type(error).__name__}: the worker's log says more."
    sentence, _, _ = (type(error).__doc__ or type(error).__name__).strip().partition(". ")
    return sentence.rstrip(".") + "."
