"""Sentences: which failures of a command were written for whoever reads them, and what to add to them.

Imported only when a command failed: most never need it.
"""

from adapters.postgres.database import DatabaseRefusedError
from adapters.redis.lanes import LanesUnavailableError
from domain.errors import ReadableError
from domain.ports.blobs import BlobsUnavailableError
from domain.ports.record import RecordUnavailableError
from domain.ports.tasks import TasksUnavailableError
from runtime.settings import Settings


def sentence_of(error: Exception, settings: Settings, *, migrates: bool = False) -> str | None:
    """Return what to print about a failure; None if it is a fault of ours, which needs its trace."""
    if isinstance(error, ReadableError):
        return " ".join([str(error), *_advice(error, settings, migrates)])
    if isinstance(error, OSError) and error.filename is not None:
        return (
            f"{error.filename} cannot be used: {error.strerror}. It may belong to somebody else, or the disk be full."
        )
    return None


def _advice(error: Exception, settings: Settings, migrates: bool) -> list[str]:
    match error:
        case DatabaseRefusedError():
            return [f"It stands in {_postgres(settings, migrates)}."]
        case RecordUnavailableError() if settings.database_url or settings.migration_url:
            return [f"Does it run, and is {_postgres(settings, migrates)} right?"]
        case LanesUnavailableError() | TasksUnavailableError() if settings.redis_url:
            return ["Does it run, and is HANSARD_REDIS_URL right?"]
        case BlobsUnavailableError() if settings.blobs_url:
            return ["Is HANSARD_BLOBS_URL right?"]
    return []


def _postgres(settings: Settings, migrates: bool) -> str:
    return "HANSARD_MIGRATION_URL" if migrates and settings.migration_url else "HANSARD_DATABASE_URL"
