"""Where Postgres and Redis are: as the settings say, or below the home, where `hansard up` runs them."""

from domain.errors import ReadableError
from runtime.embedded.location import Servers, answers, locate
from runtime.settings import SettingRefusedError, Settings


class NotRunningError(ReadableError):
    """A server that is needed is not there; the sentence says what to do."""


def database_url(settings: Settings, kind: str = "operator") -> str:
    """Return the URL of Postgres for a process of this kind.

    Raise `NotRunningError` if it is the embedded one and that does not run.
    """
    return settings.database_url or embedded(settings).login_url(kind)


def owners_url(settings: Settings) -> str:
    """Return the URL of Postgres for whoever migrates. Raise `NotRunningError` as `database_url` does."""
    return settings.migration_url or settings.database_url or embedded(settings).database_url


def embedded(settings: Settings) -> Servers:
    """Return the embedded servers. Raise `NotRunningError` unless they run, `SettingRefusedError` in production."""
    if settings.env == "production":
        raise SettingRefusedError("HANSARD_DATABASE_URL must be set when HANSARD_ENV is production.")
    servers = locate(settings.home)
    if not answers(servers.postgres_socket):
        raise NotRunningError(f"Nothing runs under {settings.home}; start it with 'make up' (or 'hansard up').")
    return servers


def rebuild_url(settings: Settings) -> str:
    """Return the URL of Postgres for the rebuilds that a worker runs. Raise `NotRunningError` as `database_url` does."""
    return settings.rebuild_url or settings.database_url or embedded(settings).login_url("operator")


def redis_url(settings: Settings) -> str:
    return settings.redis_url or locate(settings.home).redis_url
