"""A deployment with everything that an erasure concerns: gateway, projector, files' worker, notary, and an eraser by hand."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from adapters.clock import now
from adapters.postgres.blob_leases import BlobLeases
from adapters.postgres.key_news import KeyNews
from commands.command_bus import CommandBus
from tests.deployments import PASSWORD, Gateway, Person, as_login, ledger, notary, running
from tests.files.deployments import pipeline
from workers.erasing import Eraser, World
from workers.files.sweeper import Sweeper
from workers.notary import Notary


class House(NamedTuple):
    hansard: Gateway
    eraser: Eraser
    world: World
    bus: CommandBus
    blobs: Path
    notary: Notary


@asynccontextmanager
async def house(database_url: str, redis_url: str) -> AsyncIterator[House]:
    """Everything, running; only the eraser is stepped by hand."""
    async with pipeline(database_url, redis_url) as works, ledger(database_url, kind="worker") as (db, record, bus):
        hansard = works.services
        services = hansard.services
        news = KeyNews(
            as_login(database_url, "gateway"), services.command_bus.forget, services.kept_pages.clear, *_vaults(hansard)
        )
        sweeper = Sweeper(services.blobs, BlobLeases(db), record, db, now=now, age_seconds=0)
        await hansard.person()  # so that there is something to sign
        async with notary(database_url) as signing, running(news.run()):
            folder = Path(services.blobs.staging()).parent
            world = World(record, bus, db, sweeper)
            yield House(hansard, Eraser(world), world, bus, folder, signing)


def _vaults(hansard: Gateway) -> list[Callable[[], None]]:
    return [hansard.services.record._vault.hear]  # type: ignore[attr-defined]


async def ask_erasure(person: Person) -> UUID:
    """Ask for one's own erasure; answers its id."""
    asked = await person.ask("DELETE", "/users/me", 202, json={"password": PASSWORD})
    return UUID(asked["erasure_id"])
