"""A batch and its checkpoint as one statement: all of it or nothing, and no lock is held while another is waited for."""

from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from adapters.postgres.database import Database
from domain.ports.record import RecordLockedError
from projections import checkpoints
from projections.batches import WRITES_AT_ONCE_MAX, Batch
from projections.checkpoints import Lease
from projections.message_html import MESSAGE_HTML
from projections.rooms import ROOMS
from projections.users import USERS

HTML = "SELECT array_agg(html ORDER BY position) FROM read.message_html"
HOLD = "SELECT FROM read.checkpoints WHERE name = 'message_html' FOR UPDATE"
LOCK = "LOCK TABLE read.message_html IN ACCESS EXCLUSIVE MODE"


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url, size=2)
    yield opened
    await opened.close()


@pytest.fixture
async def lease(db: Database) -> Lease:
    taken = await checkpoints.take(db, "message_html", 1, "me", 30)
    assert taken is not None
    return taken


def batch_of(*texts: str, first: int = 1) -> Batch:
    batch = Batch()
    for position, text in enumerate(texts, first):
        batch.apply(MESSAGE_HTML.new(position, version=1, html=text))
    return batch


async def test_rows_and_checkpoint_are_there_together(db: Database, lease: Lease) -> None:
    assert await batch_of("a", "b").commit(db, "message_html", lease.epoch, 0, 2, 3.0)
    later = batch_of("c", first=3)
    later.apply(MESSAGE_HTML.set(1, version=2, html="A"))
    assert await later.commit(db, "message_html", lease.epoch, 2, 3, 3.0)
    assert await db.value(HTML) == ["A", "b", "c"]
    assert await checkpoints.held(db, "message_html", lease.epoch) == Lease(lease.epoch, 3, 1)
    assert await db.value("SHOW synchronous_commit") == "on"


async def test_a_batch_that_changes_nothing_moves_the_checkpoint_in_one_statement_too(
    db: Database, lease: Lease
) -> None:
    assert await Batch().commit(db, "message_html", lease.epoch, 0, 2, 3.0)
    assert await checkpoints.held(db, "message_html", lease.epoch) == Lease(lease.epoch, 2, 1)
    assert await Batch().commit(db, "message_html", lease.epoch, 0, 3, 3.0) is False
    assert await Batch().commit(db, "message_html", lease.epoch + 1, 2, 3, 3.0) is False
    assert await checkpoints.position(db, "message_html") == 2


@pytest.mark.parametrize(("epoch", "position"), [(1, 0), (0, 5)], ids=["another owner's", "another place"])
async def test_nothing_is_written_where_the_checkpoint_is_not_ours_or_not_there(
    db: Database, lease: Lease, epoch: int, position: int
) -> None:
    assert await batch_of("a").commit(db, "message_html", lease.epoch + epoch, position, 9, 3.0) is False
    assert await db.value(HTML) is None
    assert await checkpoints.position(db, "message_html") == 0


async def test_a_checkpoint_that_somebody_holds_is_not_waited_for_with_the_tables_in_hand(
    db: Database, lease: Lease, database_url: str
) -> None:
    """A rebuild holds the checkpoint, and wants the tables for itself next."""
    rebuild = await asyncpg.connect(database_url)
    try:
        async with rebuild.transaction():
            await rebuild.execute(HOLD)
            assert await batch_of("a").commit(db, "message_html", lease.epoch, 0, 1, 3.0) is False
            await rebuild.execute("SET LOCAL lock_timeout = 100")
            await rebuild.execute(LOCK)
            with pytest.raises(RecordLockedError):
                async with db.transaction() as transaction:
                    await transaction.run("SET LOCAL lock_timeout = 100")
                    await checkpoints.move(transaction, "message_html", lease, 1, 3.0)
    finally:
        await rebuild.close()
    assert await db.value(HTML) is None


async def test_a_value_that_no_column_takes_leaves_the_checkpoint_where_it_is(db: Database, lease: Lease) -> None:
    batch = batch_of("a")
    batch.apply(MESSAGE_HTML.new(2, version=1, html="\0"))
    with pytest.raises(asyncpg.CharacterNotInRepertoireError):
        await batch.commit(db, "message_html", lease.epoch, 0, 2, 3.0)
    assert await checkpoints.position(db, "message_html") == 0


async def test_what_meets_a_row_twice_or_is_too_much_is_left_to_several_statements(db: Database, lease: Lease) -> None:
    """Within one statement nobody sees what the others write."""
    one, other = UUID(int=1), UUID(int=2)
    twice, apart, much = Batch(), Batch(), Batch()
    for batch, room_id in ((twice, one), (apart, other)):
        batch.apply(ROOMS.set(one, activity=5))
        batch.apply(ROOMS.add(room_id, member_count=1))
    for number, column in enumerate(
        ("email", "username", "avatar_url", "is_active", "version")[: WRITES_AT_ONCE_MAX + 1]
    ):
        much.apply(USERS.set(UUID(int=number), **{column: None}))
    asked = (db, "message_html", lease.epoch, 0, 1, 3.0)
    assert await twice.commit(*asked) is None
    assert await much.commit(*asked) is None
    assert await apart.commit(*asked) is True
