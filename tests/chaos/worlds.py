"""Worlds: good histories made by chance, as a system that keeps every promise would leave them behind.

A few people talk in two rooms, are removed and brought back, subscribe, fall behind, are cut off and resume. Positions
have holes, as they have when other rooms are talked in too. In the second room a member hears what came since joining.
"""

import random
from dataclasses import dataclass, field

from tests.chaos.checker import (
    Admitted,
    Answered,
    Ended,
    Entry,
    Fact,
    History,
    Listed,
    Live,
    Sent,
    Subscribed,
    Told,
)

ROOMS = ("shared", "joined")
PEOPLE = ("ada", "ben", "cid")


@dataclass
class Feed:
    """A subscription as the server sees it: what is still to be told, and whether it has said `live`."""

    number: int
    room: str
    since: int
    joined: int
    place: int
    is_live: bool = False


@dataclass
class World:
    """The state of everything, and the history so far."""

    chance: random.Random
    entries: list[Entry] = field(default_factory=list)
    record: list[Fact] = field(default_factory=list)
    head: int = 0
    members: dict[tuple[str, str], int] = field(default_factory=dict)  # by room and person: where they joined
    feeds: dict[tuple[str, str], Feed] = field(default_factory=dict)
    held: dict[tuple[str, str], int] = field(default_factory=dict)
    subscriptions: int = 0
    said: int = 0

    @property
    def at(self) -> int:
        return len(self.entries)

    def append(self, room: str, event: str, subject: str, content: str = "", actor: str = "") -> int:
        self.head += 10 * self.chance.randint(1, 3)
        self.record.append(Fact(self.head, room, event, subject, content, actor))
        return self.head

    def of(self, room: str, after: int) -> list[Fact]:
        return [recorded for recorded in self.record if recorded.room == room and recorded.position > after]

    def deleted(self) -> set[str]:
        return {recorded.subject for recorded in self.record if recorded.event == "message.deleted"}

    # What people do

    def send(self) -> None:
        """One message: refused, given up with an unknown outcome, or repeated until it is acknowledged."""
        self.said += 1
        sender, room, message_id = self.chance.choice(PEOPLE), self.chance.choice(ROOMS), f"m{self.said}"
        position, end = 0, self.chance.choice(("acknowledged", "acknowledged", "acknowledged", "unknown"))
        if (room, sender) not in self.members:
            end = "refused"
        for i in range(self.chance.randint(1, 3) if end != "refused" else 1):
            sent = self.at
            self.entries.append(Sent(sent, sender, room, message_id, f"text {self.said}"))
            if end != "refused" and not position and (i > 0 or self.chance.random() < 0.8):
                position = self.append(room, "message.posted", message_id, f"text {self.said}", sender)
            self.tell_somebody()
            is_known = end == "acknowledged" and position and self.chance.random() < 0.7
            outcome = "acknowledged" if is_known else "refused" if end == "refused" else "unknown"
            self.entries.append(Answered(self.at, sent, outcome, position if is_known else 0))  # type: ignore[arg-type]

    def change(self) -> None:
        """Somebody edits or deletes what was said."""
        posted = [f for f in self.record if f.event == "message.posted" and f.subject not in self.deleted()]
        if posted:
            recorded = self.chance.choice(posted)
            if self.chance.random() < 0.5:
                self.append(recorded.room, "message.edited", recorded.subject, f"edit {self.head}")
            else:
                self.append(recorded.room, "message.deleted", recorded.subject)

    def join(self, room: str, person: str) -> None:
        at = self.at
        self.entries.append(Admitted(at, room, person, self.append(room, "member.joined", person)))
        self.members[room, person] = self.head

    def remove(self) -> None:
        """Somebody is removed; their feed ends with it, or was cut before."""
        if not self.members:
            return
        room, person = self.chance.choice(sorted(self.members))
        self.append(room, "member.removed", person)
        del self.members[room, person]
        if (person, room) in self.feeds:
            self.tell(person, room, 10**9)

    def admit(self) -> None:
        for room in ROOMS:
            for person in PEOPLE:
                if (room, person) not in self.members and self.chance.random() < 0.5:
                    self.join(room, person)

    # What they hear

    def subscribe(self, person: str, room: str, *, is_last: bool = False) -> None:
        """Subscribe, perhaps again; from what one holds, from far back, or from now on."""
        if (room, person) not in self.members:
            return
        self.feeds.pop((person, room), None)
        held = self.held.get((person, room))
        after = held if held is None or is_last or self.chance.random() < 0.6 else self.chance.randint(0, held)
        self.subscriptions += 1
        joined = self.members[room, person]
        since = joined if room == "joined" else 0
        place = max(self.head if after is None else after, since - 1)
        self.feeds[person, room] = Feed(self.subscriptions, room, since, joined, place)
        self.entries.append(Subscribed(self.at, person, self.subscriptions, self.subscriptions, room, after))
        if after is None:
            self.held.setdefault((person, room), place)
        self.tell(person, room, self.chance.randint(0, 5))

    def tell_somebody(self) -> None:
        for person, room in sorted(self.feeds):
            self.tell(person, room, self.chance.choice((0, 1, 10)))

    def tell(self, person: str, room: str, count: int) -> None:
        """Tell a feed at most so many events; `live` comes when nothing is left."""
        feed = self.feeds[person, room]
        for recorded in self.of(room, feed.place)[:count]:
            if self.is_withheld(recorded, feed.since):
                feed.place = recorded.position
                continue
            order = [each.position for each in self.of(room, feed.since - 1) if not self.is_withheld(each, feed.since)]
            place = order.index(recorded.position)
            prev = order[place - 1] if place else 0
            gone = recorded.event in ("message.posted", "message.edited") and recorded.subject in self.deleted()
            content = "" if gone else recorded.content
            told = Told(self.at, feed.number, recorded.position, prev, recorded.event, recorded.subject, content, gone)
            self.entries.append(told)
            feed.place = recorded.position
            self.held[person, room] = max(self.held.get((person, room), 0), recorded.position)
            if recorded.event == "member.removed" and recorded.subject == person and recorded.position > feed.joined:
                if self.chance.random() < 0.7:
                    self.entries.append(Ended(self.at, feed.number, "removed"))
                del self.feeds[person, room]
                return
        if not feed.is_live and not self.of(room, feed.place):
            feed.is_live = True
            self.entries.append(Live(self.at, feed.number, self.head))

    def is_withheld(self, recorded: Fact, since: int) -> bool:
        """Whether it is what became of a message from before a position."""
        posted = [f.position for f in self.record if (f.event, f.subject) == ("message.posted", recorded.subject)]
        return recorded.event in ("message.edited", "message.deleted") and posted[0] < since

    def step(self) -> None:
        what = self.chance.random()
        if what < 0.5:
            self.send()
        elif what < 0.6:
            self.change()
        elif what < 0.65:
            self.remove()
        elif what < 0.75:
            self.admit()
        elif what < 0.9:
            self.subscribe(self.chance.choice(PEOPLE), self.chance.choice(ROOMS))
        elif self.feeds:
            self.feeds.pop(self.chance.choice(sorted(self.feeds)))  # cut off
        self.tell_somebody()

    def end(self) -> History:
        """Bring everybody back and tell them everything."""
        for room in ROOMS:
            for person in PEOPLE:
                if (room, person) not in self.members:
                    self.join(room, person)
                self.subscribe(person, room, is_last=True)
        for person, room in sorted(self.feeds):
            self.tell(person, room, 10**9)
        awaited = frozenset((person, room) for room in ROOMS for person in PEOPLE)
        return History(self.entries, self.record, awaited, frozenset({"joined"}), self.pages())

    def pages(self) -> list[Listed]:
        gone, text = self.deleted(), {}
        for recorded in self.record:
            if recorded.event in ("message.posted", "message.edited"):
                text[recorded.subject] = recorded.content
        return [
            Listed(recorded.position, recorded.room, recorded.subject, "" if recorded.subject in gone else text[recorded.subject],
                   recorded.subject in gone)
            for recorded in self.record if recorded.event == "message.posted"
        ]  # fmt: skip


def good(chance: random.Random) -> History:
    """Return a history in which every promise was kept."""
    world = World(chance)
    for room in ROOMS:
        for person in PEOPLE:
            world.join(room, person)
            world.subscribe(person, room)
    for _ in range(chance.randint(5, 60)):
        world.step()
    return world.end()
