"""The scene of an attack: where the server is, who is there, when it begins and how long it lasts; and what it found."""

import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from tests.attack.wires import API, CLOSED, REFUSED, SILENT, Answer, WebSocket, Wire, ask
from tests.deployments import PASSWORD

STEP_SECONDS = 0.05
RSS_GROWTH_MIB_MAX = 32.0
WORDS = {CLOSED: "closed", REFUSED: "refused", SILENT: "silent"}
POSTS_A_PERSON = 50  # below the burst of sends
WORST_TEXT = ("*a* `b` [c](http://d.example) **e** " * 300)[:10_000]


class UnexpectedAnswer(Exception):
    """What must be right for an attack to make sense was answered otherwise."""


@dataclass(frozen=True)
class Found:
    """What an attack did and saw. `breaches` are the rules it broke, a sentence each."""

    sent: str
    answered: str
    breaches: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Attack:
    """`is_watched`: the observer measures meanwhile. `is_lasting`: what it breaks stays broken, so it comes last, alone.
    `is_patient`: it waits for time-outs and is over when they are."""

    name: str
    run: "Callable[[Scene], Coroutine[Any, Any, Found]]"
    is_watched: bool = True
    is_lasting: bool = False
    is_patient: bool = False
    rss_growth_mib_max: float = RSS_GROWTH_MIB_MAX

    @property
    def rule(self) -> str:
        return " ".join((self.run.__doc__ or "").split())


@dataclass(frozen=True)
class Person:
    """An account, logged in."""

    id: str
    email: str
    username: str
    token: str


class Scene:
    """What an attack is given."""

    def __init__(self, port: int, home: Path, seconds: float, *, number: int = 0, says: bool = False) -> None:
        """`number` keeps the addresses of one attack's people apart from those of others; `says`: tell standard output."""
        self.port = port
        self.home = home
        self.seconds = seconds
        self.address = f"127.0.2.{2 + number % 250}"  # no attack meets the limits that the one before it has used up
        self._says = says
        self._addresses = (f"127.{64 + number % 64}.{n // 250}.{1 + n % 250}" for n in itertools.count())

    def began(self) -> None:
        """The preparations are over: what is measured from now on is measured under attack."""
        self._until = time.monotonic() + self.seconds
        if self._says:
            print(json.dumps({"began": time.monotonic()}), file=sys.stdout, flush=True)

    def ended(self) -> None:
        """What follows is waiting and asking, no attack."""
        if self._says:
            print(json.dumps({"ended": time.monotonic()}), file=sys.stdout, flush=True)

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._until

    async def steps(self, a_second: float) -> AsyncIterator[int]:
        """Yield so many times a second until it is over, however long each turn takes: in bunches every 50 ms."""
        started = time.monotonic()
        done = 0
        while not self.is_over:
            due = int((time.monotonic() - started + STEP_SECONDS) * a_second)
            while done < due and not self.is_over:
                yield done
                done += 1
            await asyncio.sleep(STEP_SECONDS)

    def fresh_address(self) -> str:
        """Return an address that nobody has used: what is limited by address has nothing against it."""
        return next(self._addresses)

    async def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        """Ask from the attacker's address; `path` is below /api/v1."""
        return await ask(self.port, self.address, method, API + path, body, **options)

    async def right(self, status: int, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Ask for what must be right for the attack to make sense, from an address of its own; answers the body."""
        return await self._right(status, self.fresh_address(), method, path, body, **options)

    async def _right(self, status: int, source: str, method: str, path: str, body: Any = None, **options: Any) -> Any:
        answer = await ask(self.port, source, method, API + path, body, **options)
        if answer.status != status:
            raise UnexpectedAnswer(f"{method} {path} was answered {answer.status}: {answer.body[:300].decode()}")
        return answer.json if answer.body else None

    async def person(self, address: str = "") -> Person:
        """Register and log in somebody, from an address of theirs."""
        name, address = f"p{uuid4().hex[:14]}", address or self.fresh_address()
        body = {"email": f"{name}@example.com", "username": name, "password": PASSWORD}
        made = await self._right(201, address, "POST", "/auth/register", body)
        return await self.log_in(Person(made["id"], body["email"], name, ""), address)

    async def log_in(self, person: Person, address: str = "") -> Person:
        """Return somebody with a new token."""
        body = {"email": person.email, "password": PASSWORD}
        tokens = await self._right(200, address or self.fresh_address(), "POST", "/auth/login", body)
        return replace(person, token=tokens["access_token"])

    async def room(self, owner: Person, *others: Person, **fields: Any) -> str:
        """Open a public room and bring others in; answers its id."""
        room = (await self.right(201, "POST", "/rooms", {"name": "Room", **fields}, token=owner.token))["id"]
        for other in others:
            await self.right(200, "PUT", f"/rooms/{room}/members/{other.id}", {"role": "member"}, token=owner.token)
        return str(room)

    async def say(self, who: Person, room: str, content: str) -> dict[str, Any]:
        said = await self.right(201, "POST", f"/rooms/{room}/messages", {"content": content}, token=who.token)
        return dict(said)

    async def long_room(self, messages: int = 200, text: str = WORST_TEXT) -> tuple[Person, str]:
        """Return somebody, and a room of theirs with as many of the longest messages as a page has."""
        people = [await self.person() for _ in range(-(-messages // POSTS_A_PERSON))]
        room = await self.room(people[0], *people[1:])
        for n in range(messages):
            await self.say(people[n % len(people)], room, text)
        return people[0], room

    async def wire(self) -> Wire:
        return await Wire.open(self.port, self.address)

    async def socket(self, **options: Any) -> WebSocket:
        return await WebSocket.dial(self.port, self.address, **options)


@dataclass
class Tally:
    """How what was asked was answered."""

    counts: Counter[int] = field(default_factory=Counter)

    def add(self, answer: Answer | int) -> int:
        status = answer if isinstance(answer, int) else answer.status
        self.counts[status] += 1
        return status

    @classmethod
    def of(cls, answers: Iterable[Answer]) -> Self:
        return cls(Counter(answer.status for answer in answers))

    def __str__(self) -> str:
        told = sorted(self.counts.items(), key=lambda each: -each[1])
        return ", ".join(f"{count} × {WORDS.get(status, status)}" for status, count in told) or "nothing"


def told(found: Found) -> str:
    """Return what was found as a line of JSON."""
    return json.dumps({"found": asdict(found)})
