"""What every honest record keeps to, whoever signed it: nobody posts who is no member, and no time is before the one before.

Every append was guarded by the streams that its decision read (`commands/message.py`), so a record that breaks these rules was
not written by Hansard. It is how an event shows that was put in or altered with every key in hand, without any witness.
"""

import msgspec
from msgspec import Struct

from adapters.postgres.standing_rows import StandingRows
from workers.altered_events import NAMED_MAX, Finding, Progress

STEP_POSITIONS = 20_000
JOINED, ENDED, POSTED = "member.joined", ("member.left", "member.removed"), "message.posted"
TOPICS = [JOINED, *ENDED, POSTED]


class _Who(Struct):
    """The ids of an event, as they stand there."""

    room_id: str
    user_id: str = ""
    sender_id: str = ""


class Membership:
    """Who is in which room, event by event."""

    def __init__(self) -> None:
        self._members: set[tuple[str, str]] = set()
        self._decode = msgspec.json.Decoder(_Who).decode

    def see(self, position: int, topic: str, data: bytes) -> Finding | None:
        """Take the next event; return what is wrong with it. What cannot be read is passed over: hashes tell of it."""
        topic = topic.partition("@")[0]
        if topic not in TOPICS:
            return None
        try:
            who = self._decode(data)
        except msgspec.MsgspecError:
            return None
        if topic == JOINED:
            self._members.add((who.room_id, who.user_id))
        elif topic in ENDED:
            self._members.discard((who.room_id, who.user_id))
        elif (who.room_id, who.sender_id) not in self._members:
            return Finding(
                "no member", position, f"{who.sender_id} posted in {who.room_id}, and was no member of it then"
            )
        return None


class RecordRules:
    """Holds a record against its own rules."""

    def __init__(self, rows: StandingRows) -> None:
        self._rows = rows

    async def judge(self, until: int, progress: Progress) -> list[Finding]:
        """Return what breaks a rule up to a position, the first of each kind of rule first, at most twenty of each."""
        members, strangers, backwards = Membership(), list[Finding](), list[Finding]()
        for start in range(0, until, STEP_POSITIONS):
            end = min(until, start + STEP_POSITIONS)
            for row in await self._rows.standing(start, end, TOPICS):
                if (found := members.see(*row)) is not None:
                    strangers.append(found)
            for timed in await self._rows.backwards(max(1, start), end, NAMED_MAX):
                said = f"recorded at {timed.recorded_at.isoformat()}, and the event before it at {timed.before.isoformat()}"
                backwards.append(Finding("back-dated", timed.position, said))
            progress(end, until)
        return [*strangers[:NAMED_MAX], *backwards[:NAMED_MAX]]
