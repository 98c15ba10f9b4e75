"""The checker: what was asked, answered and told, held against the record's truth, in the manner of Jepsen.

Pure and without I/O. A history is a list of entries; `at` is an entry's place in it, so it is also the order in which
one observer of everything saw them happen. The kinds of findings exclude each other: a planted fault is reported as
exactly one of them (`tests/chaos/test_checker.py`).

Whether a frame jumped is judged by the record: `prev` must be what the room heard before, and between the first and the
last position that a subscription was told (or that `live` vouches for) nothing may be missing. Together with rising
positions this is the same as "the client always held `prev`", and it tells a jump from a frame that came late.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

Kind = Literal[
    "lost",
    "duplicate",
    "inconsistent",
    "skipped",
    "non-monotonic",
    "phantom",
    "stale-live",
    "after-removal",
    "after-end",
]
KINDS: tuple[Kind, ...] = (
    "lost", "duplicate", "inconsistent", "skipped", "non-monotonic", "phantom", "stale-live", "after-removal",
    "after-end",
)  # fmt: skip


class Sent(Struct, frozen=True):
    """One try of a send; a repetition is another one with the same message id."""

    at: int
    sender: str
    room: str
    message_id: str
    content: str


class Answered(Struct, frozen=True):
    """How the try at `sent` ended. Unknown: nobody can say whether it was written."""

    at: int
    sent: int
    outcome: Literal["acknowledged", "refused", "unknown"]
    position: int = 0
    code: str = ""


class Admitted(Struct, frozen=True):
    """Somebody was brought (back) into a room; `at` is when it was first asked, `position` what came of it."""

    at: int
    room: str
    user: str
    position: int


class Subscribed(Struct, frozen=True):
    """An observer (a user's id) asked to hear a room; `after` None: from now on. `number` is never used twice.

    `lasts`: it is a feed over many connections. Who is removed and brought back between two of them hears of it, and on.
    """

    at: int
    observer: str
    connection: int
    number: int
    room: str
    after: int | None
    lasts: bool = False


class Told(Struct, frozen=True):
    """A frame as received. `subject` is the message, the member or the room that it is about."""

    at: int
    number: int
    position: int
    prev: int
    event: str
    subject: str
    content: str = ""
    deleted: bool = False


class Live(Struct, frozen=True):
    at: int
    number: int
    position: int


class Ended(Struct, frozen=True):
    """The server said that a subscription is over: `unsubscribed`, a close that says so, or `reset`."""

    at: int
    number: int
    reason: str


Entry = Sent | Answered | Admitted | Subscribed | Told | Live | Ended


class Fact(Struct, frozen=True):
    """An event of a room as the record has it. `actor` is whose doing it was, `posted` where the older message stands that
    it tells of, if it does and does not say so by its subject."""

    position: int
    room: str
    event: str
    subject: str
    content: str = ""
    actor: str = ""
    posted: int = 0


class Listed(Struct, frozen=True):
    """A message as `GET /rooms/{id}/messages` showed it in the end."""

    position: int
    room: str
    message_id: str
    content: str
    deleted: bool


class History(Struct, frozen=True):
    """`awaited` are the (observer, room) that had to have everything in the end; `joined` the rooms whose members hear
    what came since their latest joining, and not what becomes of older messages. `listed` None: the pages were not read."""

    entries: Sequence[Entry]
    record: Sequence[Fact]
    awaited: frozenset[tuple[str, str]] = frozenset()
    joined: frozenset[str] = frozenset()
    listed: Sequence[Listed] | None = None


class Finding(Struct, frozen=True):
    """A promise broken, and the entries that show it."""

    kind: Kind
    sentence: str
    evidence: tuple[Entry | Fact | Listed, ...]


def check(history: History) -> list[Finding]:
    """Return everything that is wrong with a history; nothing when all promises were kept."""
    truth = _Truth(history)
    heard = _heard(history.entries)
    findings = [*_doubled_in_the_record(truth), *_strangers(truth), *_ended_rooms(truth)]
    findings += [*_sends(history.entries, truth), *_order_of_sends(history.entries)]
    for subscription, entries in heard:
        findings += _Feed(subscription, truth).check(entries)
    findings += _tails(history, truth, heard)
    if history.listed is not None:
        findings += _pages(history.listed, truth)
    return findings


class _Truth:
    """The record, by room, by position and by what happened."""

    def __init__(self, history: History) -> None:
        self.joined = history.joined
        self.events: dict[str, dict[int, Fact]] = defaultdict(dict)
        self.posted: dict[str, list[Fact]] = defaultdict(list)
        self.deleted: set[str] = set()
        self.places: dict[tuple[str, str, str, str], list[int]] = defaultdict(list)
        self.joins: dict[tuple[str, str], list[int]] = defaultdict(list)
        self.admitted: dict[tuple[str, str], list[Admitted]] = defaultdict(list)
        for event in sorted(history.record, key=lambda event: event.position):
            self.events[event.room][event.position] = event
            self.places[event.room, event.event, event.subject, event.content].append(event.position)
            if event.event == "message.posted":
                self.posted[event.subject].append(event)
            elif event.event == "message.deleted":
                self.deleted.add(event.subject)
            elif event.event == "member.joined":
                self.joins[event.room, event.subject].append(event.position)
        self.order = {room: list(events) for room, events in self.events.items()}
        self.prev = {
            room: dict(zip(order, [0, *order], strict=False)) for room, order in self.order.items()
        }  # what each event's room heard before it
        for entry in history.entries:
            if isinstance(entry, Admitted):
                self.admitted[entry.room, entry.user].append(entry)

    def since(self, room: str, observer: str, position: int) -> int:
        """Return somebody's latest joining of a room at or before a position; 0 for none."""
        joins = self.joins.get((room, observer), [])
        before = bisect_right(joins, position)
        return joins[before - 1] if before else 0

    def is_withheld(self, room: str, observer: str, position: int) -> bool:
        """Whether an event is what became of a message that is older than a member's joining, and not theirs to hear."""
        event = self.events[room].get(position)
        if room not in self.joined or event is None:
            return False
        if event.posted:
            return event.posted < self.since(room, observer, position)
        if event.event not in ("message.edited", "message.deleted"):
            return False
        posted = self.posted.get(event.subject, [])
        return bool(posted) and posted[0].position < self.since(room, observer, position)

    def before(self, room: str, observer: str, position: int) -> int:
        """Return the event before one that an observer may hear; 0 for none."""
        if room not in self.joined:
            return self.prev[room][position]
        since = self.since(room, observer, position)
        earlier = reversed(self.between(room, since - 1, position - 1))
        return next((at for at in earlier if not self.is_withheld(room, observer, at)), 0)

    def between(self, room: str, after: int, until: int) -> list[int]:
        """Return a room's positions after one and up to another."""
        order = self.order.get(room, [])
        return order[bisect_right(order, after) : bisect_right(order, until)]


def _heard(entries: Sequence[Entry]) -> list[tuple[Subscribed, list[Told | Live | Ended]]]:
    """Return each subscription with what was told on it, in the order of the history."""
    found: dict[int, tuple[Subscribed, list[Told | Live | Ended]]] = {}
    for entry in entries:
        if isinstance(entry, Subscribed):
            found[entry.number] = (entry, [])
        elif isinstance(entry, (Told, Live, Ended)):
            found[entry.number][1].append(entry)
    return list(found.values())


# Sends


def _doubled_in_the_record(truth: _Truth) -> Iterator[Finding]:
    for message_id, events in truth.posted.items():
        if len(events) > 1:
            yield Finding("duplicate", f"The record has message {message_id} more than once.", tuple(events))


def _strangers(truth: _Truth) -> Iterator[Finding]:
    """Nothing is accepted from someone who is not a member at that position."""
    for room, events in truth.events.items():
        members: dict[str, Fact] = {}
        for event in events.values():
            if event.event == "member.joined":
                members[event.subject] = event
            elif event.event in ("member.removed", "member.left"):
                members.pop(event.subject, None)
            elif event.event == "message.posted" and event.actor not in members:
                sentence = f"The record has message {event.subject} in {room} from {event.actor}, who was no member."
                yield Finding("after-removal", sentence, (event,))


def _ended_rooms(truth: _Truth) -> Iterator[Finding]:
    for room, events in truth.events.items():
        ended: Fact | None = None
        for event in events.values():
            if event.event == "room.archived":
                ended = event
            elif event.event == "message.posted" and ended is not None:
                yield Finding(
                    "after-end", f"The record has message {event.subject} in {room}, which ended.", (ended, event)
                )


def _sends(entries: Sequence[Entry], truth: _Truth) -> Iterator[Finding]:
    """Hold every message's tries against what the record has of it."""
    tries: dict[str, list[Sent]] = defaultdict(list)
    answers: dict[int, Answered] = {}
    for entry in entries:
        if isinstance(entry, Sent):
            tries[entry.message_id].append(entry)
        elif isinstance(entry, Answered):
            answers[entry.sent] = entry
    for message_id, sent in tries.items():
        ends = [answers[each.at] for each in sent if each.at in answers]
        acknowledged = [end for end in ends if end.outcome == "acknowledged"]
        recorded = truth.posted.get(message_id, [])
        evidence: tuple[Entry | Fact, ...] = (*sent, *ends, *recorded)
        if len({end.position for end in acknowledged}) > 1:
            yield Finding("duplicate", f"Message {message_id} was acknowledged at several positions.", evidence)
        elif acknowledged and not recorded:
            yield Finding("lost", f"Message {message_id} was acknowledged, and the record has it not.", evidence)
        elif acknowledged and acknowledged[0].position not in {event.position for event in recorded}:
            sentence = f"Message {message_id} was acknowledged at another position than the record's."
            yield Finding("inconsistent", sentence, evidence)
        elif recorded and len(ends) == len(sent) and all(end.outcome == "refused" for end in ends):
            yield Finding("phantom", f"Message {message_id} was refused, and the record has it.", evidence)
        elif any((event.room, event.content) != (sent[0].room, sent[0].content) for event in recorded):
            yield Finding("phantom", f"Message {message_id} was recorded otherwise than it was sent.", evidence)
    for message_id in truth.posted.keys() - tries.keys():
        sentence = f"The record has message {message_id}, which nobody sent."
        yield Finding("phantom", sentence, tuple(truth.posted[message_id]))


def _order_of_sends(entries: Sequence[Entry]) -> Iterator[Finding]:
    """A message first asked for after another one was acknowledged comes after it, whoever sent them."""
    sends: dict[int, Sent] = {}
    below: dict[str, Answered | None] = {}  # by message: the highest acknowledgement before it was first asked for
    acknowledged: set[str] = set()
    highest: Answered | None = None
    for entry in entries:
        if isinstance(entry, Sent):
            sends[entry.at] = entry
            below.setdefault(entry.message_id, highest)
        elif isinstance(entry, Answered) and entry.outcome == "acknowledged":
            message_id = sends[entry.sent].message_id
            if message_id in acknowledged:
                continue
            acknowledged.add(message_id)
            floor = below[message_id]
            if floor is not None and entry.position <= floor.position:
                sentence = f"Message {message_id} has position {entry.position}, not above one acknowledged before."
                yield Finding("non-monotonic", sentence, (sends[floor.sent], floor, sends[entry.sent], entry))
            if highest is None or entry.position > highest.position:
                highest = entry


# Feeds


class _Feed:
    """One subscription, entry by entry."""

    def __init__(self, subscription: Subscribed, truth: _Truth) -> None:
        self._asked = subscription
        self._truth = truth
        self._facts: Mapping[int, Fact] = truth.events.get(subscription.room, {})
        self._told: dict[int, Told] = {}
        self._first: Told | None = None
        self._last: Told | None = None
        self._live: Live | None = None
        self._over: Told | Ended | None = None
        self._began = 0

    def check(self, entries: Sequence[Told | Live | Ended]) -> Iterator[Finding]:
        if entries:
            self._began = entries[0].at
        for entry in entries:
            match entry:
                case Told():
                    yield from self._take(entry)
                case Live():
                    self._live = entry
                case Ended(reason="reset"):
                    self._over = entry
                    yield self._found("lost", "was reset, though the record is the same", entry)
                case Ended():
                    self._over = entry
        yield from self._missing()

    def _take(self, told: Told) -> Iterator[Finding]:
        if self._over is not None:
            yield self._found("after-removal", f"was told {told.position} after it had ended", self._over, told)
            return
        after = self._asked.after
        if told.position in self._told:
            yield self._found("duplicate", f"was told {told.position} twice", self._told[told.position], told)
            return
        if after is not None and told.position <= after:
            yield self._found("duplicate", f"was told {told.position}, and had it", told)
            return
        if self._last is not None and told.position < self._last.position:
            yield self._found("non-monotonic", f"was told {told.position} late", self._last, told)
        elif self._live is not None and told.position <= self._live.position:
            yield self._found("stale-live", f"was told {told.position} after `live` had it", self._live, told)
        yield from self._compare(told)
        self._told[told.position] = told
        if told.position in self._facts:
            self._first = self._first or told
            if self._last is None or told.position > self._last.position:
                self._last = told
        if self._ends_with(told):
            self._over = told

    def _compare(self, told: Told) -> Iterator[Finding]:
        """Hold what was told against the record."""
        room, truth = self._asked.room, self._truth
        event = self._facts.get(told.position)
        if event is not None and _is_same(told, event, truth):
            observer = self._asked.observer
            if truth.is_withheld(room, observer, told.position):
                yield self._found(
                    "phantom", f"was told {told.position} of a message from before they came", told, event
                )
                return
            prev = truth.before(room, observer, told.position)
            if self._lasted(told.position):
                prev = truth.prev[room][told.position]
            if told.prev != prev:
                yield self._found("skipped", f"was told {told.position} with prev {told.prev}, not {prev}", told, event)
            return
        elsewhere = truth.places.get((room, told.event, told.subject, told.content), [])
        evidence: tuple[Told | Fact, ...] = (told, *([event] if event else []), *(self._facts[at] for at in elsewhere))
        if elsewhere and event is not None:
            yield self._found("inconsistent", f"was told at {told.position} what the record has elsewhere", *evidence)
        elif elsewhere:
            yield self._found("duplicate", f"was told at {told.position} what the record has once", *evidence)
        else:
            yield self._found("phantom", f"was told at {told.position} what the record has not", *evidence)

    def _ends_with(self, told: Told) -> bool:
        """Whether this is the observer's own leaving, and they were not coming back already when they asked."""
        if told.event not in ("member.removed", "member.left") or told.subject != self._asked.observer:
            return False
        back = self._truth.admitted.get((self._asked.room, self._asked.observer), [])
        asked = told.at if self._asked.lasts else self._began
        return not any(each.position > told.position and each.at < asked for each in back)

    def _lasted(self, position: int) -> bool:
        """Whether this is a joining that a feed which goes on over it had what was before of."""
        return (
            self._first is not None and self._truth.since(self._asked.room, self._asked.observer, position) == position
        )

    def _missing(self) -> Iterator[Finding]:
        """Report what lies between the first and the last position told or vouched for, and was not told."""
        vouched = [] if self._live is None else [self._live.position]
        told = [] if self._first is None or self._last is None else [self._first.position, self._last.position]
        if not (vouched or told):
            return
        until = told[-1] if isinstance(self._over, Told) else max(vouched + told)
        start = self._asked.after
        if start is None:
            start = min(vouched + [at - 1 for at in told])
        if self._asked.room in self._truth.joined:
            start = max(start, self._truth.since(self._asked.room, self._asked.observer, (told or vouched)[0]) - 1)
        absent = [
            at
            for at in self._truth.between(self._asked.room, start, until)
            if at not in self._told and not self._truth.is_withheld(self._asked.room, self._asked.observer, at)
        ]
        if absent:
            around = [entry for entry in (self._first, self._live, self._last) if entry is not None]
            sentence = f"was not told {len(absent)} of what lies between, the first at {absent[0]}"
            yield self._found("skipped", sentence, *around, *(self._facts[at] for at in absent[:5]))

    def _found(self, kind: Kind, sentence: str, *evidence: Entry | Fact) -> Finding:
        asked = self._asked
        return Finding(kind, f"Subscription {asked.number} of {asked.observer} {sentence}.", (asked, *evidence))


def _is_same(told: Told, event: Fact, truth: _Truth) -> bool:
    if (told.event, told.subject) != (event.event, event.subject):
        return False
    if told.deleted and event.event in ("message.posted", "message.edited"):
        return told.content == "" and told.subject in truth.deleted
    return told.content == event.content


# The end


def _tails(
    history: History, truth: _Truth, heard: Sequence[tuple[Subscribed, Sequence[Told | Live | Ended]]]
) -> Iterator[Finding]:
    """Report what those who had to have everything in the end were never told, behind the last that they were."""
    reached: dict[tuple[str, str], int] = {}
    for asked, entries in heard:
        key = asked.observer, asked.room
        furthest = max((entry.position for entry in entries if not isinstance(entry, Ended)), default=asked.after or 0)
        reached[key] = max(reached.get(key, 0), furthest)
    acknowledged = {
        entry.position: entry
        for entry in history.entries
        if isinstance(entry, Answered) and entry.outcome == "acknowledged"
    }
    for observer, room in sorted(history.awaited):
        order = truth.order.get(room, [])
        missing = order[bisect_right(order, reached.get((observer, room), 0)) :]
        missing = [at for at in missing if not truth.is_withheld(room, observer, at)]
        if missing:
            events = [truth.events[room][at] for at in missing[:5]]
            acks = [acknowledged[at] for at in missing[:5] if at in acknowledged]
            sentence = f"{observer} was never told {len(missing)} events of {room}, the first at {missing[0]}."
            yield Finding("lost", sentence, (*events, *acks))


def _pages(listed: Sequence[Listed], truth: _Truth) -> Iterator[Finding]:
    """Hold the messages that the read tables show against the record."""
    shown: dict[str, Listed] = {}
    for message in listed:
        if message.message_id in shown:
            sentence = f"The pages show message {message.message_id} twice."
            yield Finding("duplicate", sentence, (shown[message.message_id], message))
        shown[message.message_id] = message
    latest: dict[str, Fact] = {}
    for events in truth.events.values():
        for event in events.values():
            if event.event in ("message.posted", "message.edited"):
                latest[event.subject] = event
    for message_id, event in latest.items():
        found = shown.get(message_id)
        first = truth.posted.get(message_id, [event])[0].position
        if found is None:
            yield Finding("lost", f"The pages do not show message {message_id}.", (event,))
        elif found.position != first:
            yield Finding("inconsistent", f"The pages show message {message_id} elsewhere.", (found, event))
        elif (found.content, found.deleted) != (("", True) if message_id in truth.deleted else (event.content, False)):
            yield Finding("phantom", f"The pages show message {message_id} with another text.", (found, event))
    for message_id in shown.keys() - latest.keys():
        yield Finding("phantom", f"The pages show message {message_id}, which nobody recorded.", (shown[message_id],))
