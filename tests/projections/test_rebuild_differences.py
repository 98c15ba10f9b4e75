"""A shadow rebuild names the rows that differ from what the record says: all of them, no others, and no word of a text."""

from collections.abc import Sequence
from uuid import UUID

import pytest

from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from projections import LIVE, MESSAGE_HTML, PROJECTIONS
from projections.tables import Group
from tests.deployments import ledger, running
from tests.projections.test_read_models import make_history, project
from workers import differences
from workers.projector import Follower
from workers.rebuild import Rebuild
from workers.rebuild_reports import Difference, report

NOWHERE = UUID(int=0)
SOME_POSITION = "SELECT min(position) FROM read.messages WHERE NOT deleted AND content <> ''"
CHANGE_TEXT = "UPDATE read.messages SET content = 'a secret of Ada' WHERE position = $1 RETURNING content"
CHANGE_NUMBER = "UPDATE read.rooms SET member_count = member_count + 7 WHERE id = (SELECT min(id::text)::uuid FROM read.rooms) RETURNING id::text"  # fmt: skip
LOSE_MEMBER = """
    DELETE FROM read.room_members WHERE (room_id, user_id) = (
        SELECT room_id, user_id FROM read.room_members ORDER BY 1, 2 LIMIT 1) RETURNING room_id::text || ' ' || user_id::text
"""
ADD_VARIANT = """
    INSERT INTO read.file_variants (file_id, name, width, height, mime_type, size_bytes, storage_path)
    VALUES ($1, 'extra', 1, 1, 'image/webp', 1, 'nowhere')
"""
CHANGE_HTML = "UPDATE read.message_html SET html = '<p>a secret of Ben</p>', version = 99 WHERE position = $1"


async def shadow(group: Group, record: PostgresRecord, db: Database) -> tuple[list[Difference], list[str]]:
    verdicts = await Rebuild(group, record, db, progress=lambda progress: None).run(swap=False)
    found = [each for verdict in verdicts if verdict.differences for each in verdict.differences.of_rows]
    return found, list(report(verdicts))


def told(found: Sequence[Difference]) -> set[tuple[str, str, str | None]]:
    return {(each.table, each.key, each.column) for each in found}


async def test_each_row_that_differs_is_named_with_its_column_and_both_values(database_url: str) -> None:
    async with ledger(database_url) as (db, record, command_bus):
        await make_history(command_bus, 40, 90)
        await project(record, db)
        for group in PROJECTIONS.values():
            found, lines = await shadow(group, record, db)
            assert found == [] and all("equals what was served" in line for line in lines)

        position = await db.value(SOME_POSITION)
        original = await db.value("SELECT content FROM read.messages WHERE position = $1", position)
        count = await db.value(
            "SELECT member_count FROM read.rooms WHERE id = (SELECT min(id::text)::uuid FROM read.rooms)"
        )
        await db.value(CHANGE_TEXT, position)
        room = await db.value(CHANGE_NUMBER)
        room_of_member, user = (await db.value(LOSE_MEMBER)).split()
        await db.run(ADD_VARIANT, NOWHERE)
        await db.run("INSERT INTO read.mentions (room_id, user_id, position) VALUES ($1, $1, 7)", NOWHERE)

        mention = f"room_id {NOWHERE}, user_id {NOWHERE}, position 7"  # of a table that is all key
        member, variant = f"room_id {room_of_member}, user_id {user}", f"file_id {NOWHERE}, name extra"
        found, lines = await shadow(LIVE, record, db)
        assert {each.key: each for each in found} == {
            f"position {position}": Difference(
                "read.messages", f"position {position}", "content", "text", "a secret of Ada", original
            ),
            f"id {room}": Difference("read.rooms", f"id {room}", "member_count", "int", str(count + 7), str(count)),
            member: Difference("read.room_members", member, None, "", None, "row"),
            variant: Difference("read.file_variants", variant, None, "", "row", None),
            mention: Difference("read.mentions", mention, None, "", "row", None),
        }
        assert f"  read.rooms, id {room}, member_count: {count + 7} -> {count}" in lines
        assert f"  read.room_members, {member}: is missing among the served." in lines
        assert f"  read.file_variants, {variant}: is served, and not in the record." in lines
        assert f"  read.messages, position {position}, content: 15 characters -> {len(original)} characters" in lines
        assert "secret" not in "".join(lines) and original not in "".join(lines)

        rendered = await db.value("SELECT min(position) FROM read.message_html")
        await db.run(CHANGE_HTML, rendered)
        found, lines = await shadow(MESSAGE_HTML, record, db)
        key = f"position {rendered}"
        assert told(found) == {("read.message_html", key, "version"), ("read.message_html", key, "html")}
        assert "secret" not in "".join(lines)


def test_a_text_is_told_by_its_length_unless_it_is_to_be_shown_and_a_password_always() -> None:
    text = Difference("read.messages", "position 1", "content", "text", "a secret\x1b[2J", None)
    assert text.sentence(show_content=False) == "read.messages, position 1, content: 12 characters -> null"
    assert text.sentence(show_content=True) == r"read.messages, position 1, content: 'a secret\x1b[2J' -> null"
    long = Difference("read.messages", "position 1", "content", "text", "x" * 5000, "y")
    assert len(long.sentence(show_content=True)) < 300
    password = Difference("read.users", "id 1", "hashed_password", "text", "$argon2", "$argon2id")
    assert password.sentence(show_content=True) == "read.users, id 1, hashed_password: 7 characters -> 9 characters"


async def test_of_very_many_rows_that_differ_some_are_named_and_the_rest_is_mentioned(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(differences, "ROWS_TOLD_MAX", 5)
    monkeypatch.setattr(differences, "BUCKET_ROWS", 4)
    async with ledger(database_url) as (db, record, command_bus):
        await make_history(command_bus, 41, 90)
        await project(record, db)
        await db.run("UPDATE read.messages SET version = version + 1")
        found, lines = await shadow(LIVE, record, db)
        assert len(found) == 5 and {each.column for each in found} == {"version"}
        assert lines[-1] != "  read.messages: more rows differ than are listed here."
        assert "  read.messages: more rows differ than are listed here." in lines
        positions = [int(each.key.removeprefix("position ")) for each in found]
        assert positions == sorted(positions)


async def test_while_everybody_writes_no_row_is_named_that_does_not_differ(database_url: str) -> None:
    async with ledger(database_url, size=12) as (db, record, command_bus):
        await make_history(command_bus, 42, 60)
        await project(record, db)
        position = await db.value(SOME_POSITION)
        await db.value(CHANGE_TEXT, position)
        follower = Follower(LIVE, record, db, owner="live")

        async def write(seed: int) -> None:
            while True:
                await make_history(command_bus, seed, 40)
                seed += 1

        async with running(follower.run(), write(1_000)):
            for _ in range(3):
                before = (await record.head()).position
                found, _ = await shadow(LIVE, record, db)
                assert told(found) == {("read.messages", f"position {position}", "content")}
                assert (await record.head()).position > before
