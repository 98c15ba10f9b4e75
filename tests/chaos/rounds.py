"""Rounds: people talk and listen while the nemesis harms; then it ends, and what is left is held to the promises.

A round has rooms and subscriptions of its own, so that memory is bounded however long the whole runs; the deployment,
its record and its people go on. Nothing is judged by a clock but this: when everything runs again, everybody has
everything within 30 s.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from hansard_client import Client, Message

from adapters.clock import now
from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from adapters.postgres.master_key import load_master
from domain.events import Recorded
from domain.message import MessageDeleted, MessageEdited
from tests.chaos import counts
from tests.chaos.checker import Fact, Finding, History, Listed, check
from tests.chaos.deployment import GATEWAYS, Deployment, End
from tests.chaos.log import Log, mark
from tests.chaos.nemesis import Members, Nemesis
from tests.chaos.people import Account, Observer, Sender
from tests.chaos.regulars import Regular
from tests.chaos.trials import Trials
from tests.deployments import PASSWORD

SENDERS = 8
OBSERVERS = 20
REGULARS = 4
ROOMS = 5
DIRECT_ROOMS = 2
DIRECT_PEOPLE = (3, 2)  # senders and observers, beside the owner
ROOMS_OF_AN_OBSERVER = (2, 4)
HEAL_SECONDS = 30.0
CALM_SECONDS = 45.0
TRIAL_SECONDS = 300.0
LOOK_SECONDS = 0.05
PAGE_EVENTS = 2_000
LOGINS_AT_ONCE = 4


@dataclass
class Outcome:
    """What a round, or all of them, came to."""

    figures: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    complaints: Counter[str] = field(default_factory=Counter)
    ends: list[End] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    rebuilds_unequal: list[str] = field(default_factory=list)
    not_healed: list[str] = field(default_factory=list)
    trials_broken: list[str] = field(default_factory=list)
    healed_seconds: list[float] = field(default_factory=list)
    seeds: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not (self.findings or self.rebuilds_unequal or self.not_healed or self.trials_broken)

    def add(self, other: "Outcome") -> None:
        self.figures += other.figures
        self.kinds += other.kinds
        self.complaints += other.complaints
        self.ends += other.ends
        self.findings += other.findings
        self.rebuilds_unequal += other.rebuilds_unequal
        self.not_healed += other.not_healed
        self.trials_broken += other.trials_broken
        self.healed_seconds += other.healed_seconds
        self.seeds += other.seeds


class People:
    """The accounts of a deployment: an owner of all rooms, senders, observers, and regulars."""

    def __init__(self, deployment: Deployment) -> None:
        self.direct: set[str] = set()  # rooms of former rounds: the same people have one for ever
        self._base = deployment.base(GATEWAYS[0])
        self._accounts: list[Account] = []

    async def gather(self) -> tuple[Account, list[Account], list[Account], list[Account]]:
        """Log everybody in, registering them the first time; answers owner, senders, observers and regulars."""
        if not self._accounts:
            names = [f"p{i}" for i in range(1 + SENDERS + OBSERVERS + REGULARS)]
            self._accounts = list(await _at_once(self._register(name) for name in names))
        await _at_once(self._log_in(account) for account in self._accounts)
        others = iter(self._accounts[1:])
        senders, observers = list(islice(others, SENDERS)), list(islice(others, OBSERVERS))
        return self._accounts[0], senders, observers, list(others)

    async def _register(self, name: str) -> Account:
        async with Client(self._base) as client:
            profile = await client.register(f"{name}@example.com", name, PASSWORD)
        return Account(profile.id, profile.email, "")

    async def _log_in(self, account: Account) -> None:
        async with Client(self._base) as client:
            account.token = (await client.login(account.email, PASSWORD)).access_token


class Round:
    """One round. `log` may be looked at while it runs."""

    def __init__(self, deployment: Deployment, people: People, seed: str) -> None:
        self.log = Log()
        self.seed = seed
        self.kinds: Counter[str] = Counter()
        self._deployment = deployment
        self._people = people
        self._chance = random.Random(seed)
        self._joined: frozenset[str] = frozenset()
        self._rooms: list[str] = []
        self._senders: list[Sender] = []
        self._observers: list[Observer] = []
        self._regulars: list[Regular] = []
        self._start = 0

    async def run(
        self,
        stopped: asyncio.Event | None = None,
        *,
        seconds: float | None,
        pause_seconds: tuple[float, float] = (0.2, 2.0),
    ) -> Outcome:
        """Harm for so many seconds, or until told to stop (None: every kind of harm once), then heal and check."""
        ends = len(self._deployment.ends)
        nemesis = await self._move_in()
        loops = self._begin()
        try:
            try:
                async with asyncio.timeout(seconds):
                    if seconds is None:
                        await nemesis.once_each()
                    else:
                        await nemesis.run(stopped or asyncio.Event(), pause_seconds=pause_seconds)
            except TimeoutError:
                pass
            outcome = Outcome(self.log.figures, nemesis.kinds, self.log.complaints, seeds=[self.seed])
            try:
                outcome.healed_seconds = [await self._heal(nemesis)]
            except TimeoutError:
                outcome.not_healed = [f"Round {self.seed}: not everything ran again within {CALM_SECONDS:.0f} s."]
                return outcome
            finally:
                outcome.trials_broken = self._trials.broken
                outcome.ends = self._deployment.ends[ends:]
            history, rebuilt = await self._gather()
        finally:
            await self._end(loops)
        outcome.findings = await asyncio.to_thread(check, history)
        outcome.rebuilds_unequal = rebuilt
        return outcome

    # Before

    async def _move_in(self) -> Nemesis:
        """Log in, open rooms, bring everybody in."""
        owner, senders, observers, regulars = await self._people.gather()
        async with Client(self._deployment.base(GATEWAYS[0])) as client:
            await client.login(owner.email, PASSWORD)
            self._start = (await client.meta()).position
            for i in range(ROOMS):
                self._rooms.append((await client.open_room(f"Room {i}", is_private=i % 2 == 1)).id)
            self._joined = frozenset(self._rooms[-1:])
            for room_id in self._joined:
                await client.change_room(room_id, history="joined")
            rooms_of = {
                each.user_id: self._chance.sample(self._rooms, self._chance.randint(*ROOMS_OF_AN_OBSERVER))
                for each in (*observers, *regulars)
            }
            members = [(room, each.user_id) for room in self._rooms for each in senders]
            members += [(room, user_id) for user_id, rooms in rooms_of.items() for room in rooms]
            await _at_once(client.put_member(room, user_id) for room, user_id in members)
            own = {each.user_id: list(self._rooms) for each in senders}
            for _ in range(DIRECT_ROOMS):
                room, inside = await self._open_direct(client, senders, observers)
                for user_id in inside:
                    (own if user_id in own else rooms_of)[user_id].append(room)
        self._senders = [Sender(self._deployment, self.log, each, own[each.user_id], self._own()) for each in senders]
        self._observers = [
            Observer(self._deployment, self.log, each, rooms_of[each.user_id], self._own()) for each in observers
        ]
        self._regulars = [
            Regular(self._deployment, self.log, each, rooms_of[each.user_id], self._own()) for each in regulars
        ]
        await _at_once(regular.log_in() for regular in self._regulars)
        self._trials = Trials(self._deployment, self.log, owner, self._rooms[0], self._own())
        talked = Members(self._deployment, self.log, owner, members, self._own())
        nemesis = Nemesis(self._deployment, self.log, talked, self._trials, self._own())
        self.kinds = nemesis.kinds
        self._owner = owner
        return nemesis

    async def _open_direct(
        self, client: Client, senders: Sequence[Account], observers: Sequence[Account]
    ) -> tuple[str, list[str]]:
        """Open a direct room of people who have none yet; answers it, and who is in it beside the owner."""
        while True:
            people = [
                each.user_id
                for some, count in zip((senders, observers), DIRECT_PEOPLE, strict=True)
                for each in self._chance.sample(some, count)
            ]
            room = (await client.direct(people)).id
            if room not in self._people.direct:
                self._people.direct.add(room)
                self._rooms.append(room)
                return room, people

    def _own(self) -> random.Random:
        return random.Random(self._chance.getrandbits(64))

    def _begin(self) -> list["asyncio.Task[None]"]:
        loops: list[Coroutine[Any, Any, None]] = [observer.run() for observer in self._observers]
        self._listening = [asyncio.create_task(regular.run()) for regular in self._regulars]
        loops += [sender.run(by_rest=i % 2 == 0) for i, sender in enumerate(self._senders)]
        return [asyncio.create_task(loop) for loop in loops]

    async def _end(self, loops: Sequence["asyncio.Task[None]"]) -> None:
        people: tuple[Sender | Observer, ...] = (*self._senders, *self._observers)
        for person in people:
            person.stopping = True
        if loops:
            await asyncio.wait(loops, timeout=HEAL_SECONDS)
        for loop in (*loops, *self._listening):
            loop.cancel()
        for outcome in await asyncio.gather(*loops, *self._listening, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    # After

    async def _heal(self, nemesis: Nemesis) -> float:
        """End all harm and wait until everybody has everything; answers how long that took once everything ran.

        Who has not everything by then is found by the checker: what they were never told is lost.
        """
        for observer in self._observers:
            observer.calm = True
        talking: tuple[Sender | Regular, ...] = (*self._senders, *self._regulars)
        for each in talking:
            each.stopping = True
        async with asyncio.timeout(TRIAL_SECONDS):
            await nemesis.heal()
        async with asyncio.timeout(CALM_SECONDS):
            await self._deployment.ready()
            while not all(each.is_done for each in talking):
                await asyncio.sleep(LOOK_SECONDS)
        began = asyncio.get_running_loop().time()
        ends = await self._last_positions()
        listening: tuple[Observer | Regular, ...] = (*self._observers, *self._regulars)
        while waited := asyncio.get_running_loop().time() - began:
            behind = [
                (observer.user_id, room)
                for observer in listening
                for room in observer.rooms
                if observer.held.get(room, 0) < ends[room]
            ]
            if not behind or waited > HEAL_SECONDS:
                break
            self._deployment.check_keepers()
            await asyncio.sleep(LOOK_SECONDS)
        return waited

    async def _last_positions(self) -> dict[str, int]:
        """Return up to where everybody hears a room: what becomes of old messages is not everybody's in all of them."""
        ends = dict.fromkeys(self._rooms, 0)
        for recorded in await self._truth():
            is_older = bool(recorded.posted) or recorded.event in ("message.edited", "message.deleted")
            if recorded.room not in self._joined or not is_older:
                ends[recorded.room] = recorded.position
        return ends

    async def _gather(self) -> tuple[History, list[str]]:
        """Return the history with the record's truth, and what a rebuild found different."""
        record = await self._truth()
        listed = await self._pages()
        code, said = await self._deployment.command("rebuild", "--all", "--shadow")
        everybody: tuple[Observer | Regular, ...] = (*self._observers, *self._regulars)
        awaited = frozenset((observer.user_id, room) for observer in everybody for room in observer.rooms)
        history = History(self.log.entries, record, awaited, self._joined, listed)
        unequal = [] if code == 0 else [f"exit code {code}: {said}"]
        return history, unequal + await self._miscounted()

    async def _miscounted(self) -> list[str]:
        """Return what the read tables count otherwise than the record."""
        until, rows = await counts.read(self._deployment.database_url)
        return counts.miscounted([recorded async for recorded in self._record(0)], until, rows)

    async def _truth(self) -> list[Fact]:
        """Read the events of this round's rooms straight from the record."""
        rooms = {*self._rooms, *self._trials.opened}
        return [
            _fact(each) async for each in self._record(self._start) if str(each.event.frame_room()) in rooms
        ]  # fmt: skip

    async def _record(self, after: int) -> AsyncIterator[Recorded[Any]]:
        """Iterate over the events of the record."""
        db = await Database.open(self._deployment.database_url, size=2)
        try:
            master = load_master(self._deployment.home / "master.key", create=False)
            record = PostgresRecord(db, Vault(db, master), now=now, chance=random.randbytes)
            while page := await record.after(after, limit=PAGE_EVENTS):
                for recorded in page:
                    yield recorded
                after = page[-1].position
        finally:
            await db.close()

    async def _pages(self) -> list[Listed]:
        """Read the messages of this round's rooms as a client does, by the other gateway."""
        async with Client(self._deployment.base(GATEWAYS[1])) as client:
            await client.login(self._owner.email, PASSWORD)
            return [
                Listed(each.position, room, each.id, mark(each.content), each.deleted)
                for room in (*self._rooms, *self._trials.opened)
                async for each in _all_of(client, room)
                if each.message_type == "text"
            ]


async def _all_of(client: Client, room: str) -> AsyncIterator[Message]:
    """Iterate over the messages of a room, and over the replies that its threads alone show."""
    async for each in client.messages(room, newer_than=0, limit=200):
        yield each
        if each.thread is not None:
            async for reply in client.replies(each.id, limit=200):
                if not reply.in_room:
                    yield reply


def _fact(recorded: Recorded[Any]) -> Fact:
    event = recorded.event
    subject = getattr(event, "message_id", None) or getattr(event, "user_id", None) or event.room_id
    content = mark(getattr(event, "content", ""))
    is_of_message = isinstance(event, (MessageEdited, MessageDeleted))
    posted = 0 if is_of_message else int(getattr(event, "posted_position", 0))
    return Fact(
        recorded.position, str(event.frame_room()), event.topic, str(subject), content, str(recorded.meta.actor), posted
    )  # fmt: skip


async def _at_once(work: Any) -> Sequence[Any]:
    """Do all of it, a few at once."""
    free = asyncio.Semaphore(LOGINS_AT_ONCE)

    async def one(each: Coroutine[Any, Any, Any]) -> Any:
        async with free:
            return await each

    return await asyncio.gather(*(one(each) for each in work))
