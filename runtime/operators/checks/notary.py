"""Checks of the notary: whether it signs, and whether its witnesses have what it signed."""

from datetime import timedelta

from adapters.clock import now
from adapters.postgres.database import Database
from adapters.postgres.tiles import TileStore
from domain.ids import RecordId
from domain.tree_head import origin_of
from runtime.locations import database_url
from runtime.settings import Settings

UNSIGNED_SECONDS_MAX = 60.0
UNWITNESSED_MAX = timedelta(hours=1)
SELECT_HEAD = "SELECT record FROM record.head"


async def notary(settings: Settings) -> str:
    """Look at what is signed and witnessed. Raise `RuntimeError` where it is too old."""
    db = await Database.open(database_url(settings), size=1)
    try:
        store, origin = TileStore(db), origin_of(RecordId(await db.value(SELECT_HEAD)))
        unsigned, witnessed = await store.unsigned(origin), await store.witnessed(origin)
    finally:
        await db.close()
    if unsigned.seconds > UNSIGNED_SECONDS_MAX:
        raise RuntimeError(
            f"{unsigned.events:,} events are not signed, the first for {unsigned.seconds:,.0f} s: is a notary running, and what does "
            "its log say?"
        )
    said = f"signed up to position {unsigned.signed:,}"
    if not settings.witnesses and not settings.witness_folder.parts:
        return f"{said}; no witness has it (HANSARD_WITNESSES): whoever takes the key and this machine could sign another record"
    has_more = unsigned.signed > (0 if witnessed is None else witnessed.size)
    since = None if witnessed is None else now() - witnessed.witnessed_at
    if has_more and (since is None or since > max(UNWITNESSED_MAX, timedelta(seconds=3 * settings.witness_seconds))):
        raise RuntimeError(f"{said}, and too few witnesses have it: what does the notary's log say?")
    return f"{said}; {', '.join(witnessed.witnesses) if witnessed else 'nobody'} witnessed {witnessed.size if witnessed else 0:,}"
