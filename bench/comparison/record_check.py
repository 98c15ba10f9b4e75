"""What Hansard said, acknowledged and told in a run, held against the record by the checker of the chaos tests.

It judges durability, that each send is there once, order, holes, and that whoever spoke was a member at that position.
"""

import os
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from msgspec.json import decode

from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from adapters.postgres.master_key import load_master
from bench.comparison.talk import MARK, Noted
from domain.events import Recorded
from domain.ids import RoomId
from tests.chaos.checker import Answered, Entry, Fact, History, Live, Sent, Subscribed, Told, check

PAGE_EVENTS = 2_000


async def read_record(url: str, master_key: Path, rooms: Sequence[str]) -> list[Fact]:
    """Read everything that these rooms heard, straight from the record."""
    db = await Database.open(url, size=2, statement_seconds=60)
    try:
        vault = Vault(db, load_master(master_key, create=False))
        record = PostgresRecord(db, vault, now=lambda: datetime.now(UTC), chance=os.urandom)
        head, facts = (await record.head()).position, []
        for room in rooms:
            position, is_last = 0, False
            while not is_last:
                page = await record.room_after(RoomId(UUID(room)), position, until=head, limit=PAGE_EVENTS)
                facts += [_fact(each, room) for each in page.events]
                position, is_last = page.events[-1].position if page.events else head, page.is_last
        return facts
    finally:
        await db.close()


class Checked:
    """The history of one run in rooms of its own, and what is wrong with it."""

    def __init__(self, record: list[Fact]) -> None:
        self._record = record
        self._lines: list[tuple[str, str, bool]] = []
        self._ids = {fact.content: fact.subject for fact in record if fact.event == "message.posted"}

    def hears(self, user: str, room: str, *, is_kept: bool) -> None:
        """Note the next line: whose it is, of which room, and whether the journal has all that it was told."""
        self._lines.append((user, room, is_kept))

    def findings(self, journal: Sequence[Noted]) -> list[str]:
        """Return a sentence for each kind of finding: how many, and the first."""
        found = check(History(self._entries(journal), self._record, self._awaited()))
        kinds = Counter(finding.kind for finding in found)
        first = {finding.kind: finding.sentence for finding in reversed(found)}
        return [f"{count} × {kind}: {first[kind]}" for kind, count in kinds.items()]

    def _awaited(self) -> frozenset[tuple[str, str]]:
        return frozenset((user, room) for user, room, is_kept in self._lines if is_kept)

    def _entries(self, journal: Sequence[Noted]) -> list[Entry]:
        entries: list[Entry] = []
        for number, (user, room, is_kept) in enumerate(self._lines):
            if is_kept:
                entries.append(Subscribed(len(entries), user, number, number, room, None))
        sent: dict[int, int] = {}
        for noted in journal:
            entry = self._said(noted, len(entries), sent) if noted.is_said else self._heard(noted, len(entries), sent)
            if entry is not None:
                entries.append(entry)
        return entries

    def _said(self, noted: Noted, at: int, sent: dict[int, int]) -> Sent:
        user, room, _ = self._lines[noted.line]
        mark, text = MARK.search(noted.payload), noted.payload.decode()
        assert mark is not None, "everything that is said has a mark"
        sent[int(mark[2])] = at
        return Sent(at, user, room, self._ids.get(text, f"unrecorded {text}"), text)

    def _heard(self, noted: Noted, at: int, sent: dict[int, int]) -> Entry | None:
        """Return what a frame says. Which message a reply is about is known by its number, which the mark had too."""
        frame = decode(noted.payload)
        match frame["type"]:
            case "reply":
                return Answered(at, sent[frame["id"]], "acknowledged", frame["position"])
            case "live":
                return Live(at, noted.line, frame["position"])
            case "event":
                return _told(at, noted.line, frame)
            case _:
                return None


def _told(at: int, line: int, frame: dict[str, Any]) -> Told:
    event, told = frame["event"], frame["data"]
    subject = told["user_id"] if event.startswith("member.") else told["id"]
    return Told(at, line, frame["position"], frame["prev"], event, subject, told.get("content", ""))


def _fact(recorded: Recorded[Any], room: str) -> Fact:
    event = recorded.event
    subject = getattr(event, "message_id", None) or getattr(event, "user_id", None) or event.room_id
    content = getattr(event, "content", "")
    return Fact(recorded.position, room, event.topic, str(subject), content, str(recorded.meta.actor))
