"""Sentences: which failures of a command were written for whoever reads them, and what else they should be told.

Imported only when a command failed: it names what half of the rooms may raise.
"""

from hansard_client import HansardError

from adapters.credentials.tokens import KeyNotRetired
from adapters.postgres.data_keys import MasterKeyWrong
from adapters.postgres.database import DatabaseRefused
from adapters.redis.lanes import LanesUnavailable
from domain.errors import Refused
from domain.ports import BlobsUnavailable, RecordUnavailable, TasksUnavailable
from gateway.server.tls import TlsRefused
from gateway.server.uvicorn_server import PortTaken
from runtime.composition import AccountUnknown, NotRunning
from runtime.embedded.servers import EmbeddedFailed
from runtime.login_checks import LoginRefused
from runtime.migrate import MigrationRefused
from runtime.operators.explain import NotJudged
from runtime.operators.keys import MasterKeyLost
from runtime.operators.talk import CannotTalk
from runtime.roles import RolesRefused
from runtime.settings import SettingRefused, Settings
from runtime.startup_checks import Lax
from workers.table_swap import RebuildRefused

PASSING = (
    BlobsUnavailable, TasksUnavailable, LanesUnavailable, KeyNotRetired, RecordUnavailable, Refused, PortTaken,
    EmbeddedFailed, AccountUnknown, NotRunning, NotJudged, CannotTalk, HansardError, RebuildRefused,
)  # fmt: skip
# What will be so at the next start: a setting, a key, a log-in, a version.
LASTING = (
    SettingRefused, DatabaseRefused, MasterKeyWrong, MasterKeyLost, TlsRefused, Lax, LoginRefused, MigrationRefused,
    RolesRefused,
)  # fmt: skip


def sentence_of(error: Exception, settings: Settings, *, migrates: bool = False) -> str | None:
    """Return what to say of a failure; None where it is a fault of ours, whose trace is wanted."""
    if isinstance(error, (*PASSING, *LASTING)):
        return " ".join([str(error), *_advice(error, settings, migrates)])
    if isinstance(error, OSError) and error.filename is not None:
        return (
            f"{error.filename} cannot be used: {error.strerror}. It may belong to somebody else, or the disk be full."
        )
    return None


def lasts(error: Exception) -> bool:
    """Whether a sentence tells of something that will be so at the next start."""
    return isinstance(error, LASTING)


def _advice(error: Exception, settings: Settings, migrates: bool) -> list[str]:
    match error:
        case DatabaseRefused():
            return [f"It stands in {_postgres(settings, migrates)}."]
        case RecordUnavailable() if settings.database_url or settings.migration_url:
            return [f"Does it run, and is {_postgres(settings, migrates)} right?"]
        case LanesUnavailable() | TasksUnavailable() if settings.redis_url:
            return ["Does it run, and is HANSARD_REDIS_URL right?"]
        case BlobsUnavailable() if settings.blobs_url:
            return ["Is HANSARD_BLOBS_URL right?"]
        case CannotTalk() | HansardError():
            return []
    return []


def _postgres(settings: Settings, migrates: bool) -> str:
    return "HANSARD_MIGRATION_URL" if migrates and settings.migration_url else "HANSARD_DATABASE_URL"
