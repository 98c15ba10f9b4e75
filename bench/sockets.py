"""S8: what those who read hear of a hundred in the same room who hardly do; and what measurements share."""

import asyncio
import json
import time
from collections.abc import Callable
from statistics import median
from uuid import uuid4

from hansard_client import Client
from msgspec import Struct

from bench.deployment import Deployment
from bench.load import Socket, somebody

TEXT = "The quick brown fox jumps over the lazy dog, and then it says so to everybody."


class Measured(Struct):
    """One row of the table."""

    name: str
    figure: str
    cpu_ms_a_message: float | None = None


async def people(base: str, count: int) -> list[Client]:
    tag = uuid4().hex[:10]
    return [await somebody(base, f"bench-{tag}-{i}") for i in range(count)]


async def room_of(owner: Client, others: list[Client], name: str) -> str:
    """Open a public room and have the others join; answers its id."""
    room = await owner.open_room(name)
    for other in others:
        await other.join(room.id)
    return room.id


async def slow_readers(
    deployment: Deployment, *, slow: int = 100, fast: int = 10, rate: int = 50, seconds: float = 6, rounds: int = 3
) -> Measured:
    """S8: the latency of those who read, without and with a hundred in the same room who hardly do; medians of rounds."""
    crowd = await people(deployment.base, 3)
    room = await room_of(crowd[0], crowd[1:], "S8")
    path = f"/api/v1/ws/{room}"
    taken: list[float] = []
    sent: dict[str, float] = {}

    def heard(payload: bytes) -> None:
        if payload.startswith(b'{"type":"event","event":"message.posted"'):
            started = sent.get(json.loads(payload)["data"]["id"])
            if started is not None:
                taken.append((time.perf_counter() - started) * 1000)

    speaker = await Socket.open("127.0.0.1", deployment.port, path, await crowd[0].token(), None)
    readers = [
        await Socket.open("127.0.0.1", deployment.port, path, await crowd[1].token(), heard if i == 0 else None)
        for i in range(fast)
    ]

    async def measure() -> float:
        taken.clear()
        started = time.perf_counter()
        for i in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, started + i / rate - time.perf_counter()))
            message_id = str(uuid4())
            sent[message_id] = time.perf_counter()
            speaker.say(id=i, type="send", room_id=room, message_id=message_id, content=TEXT * 12)
        await settled(lambda: len(taken))
        return sorted(taken)[int(len(taken) * 0.99)]

    await measure()
    without, among = [], []
    for _ in range(rounds):
        without.append(await measure())
        token = await crowd[2].token()
        dragging = [
            await Socket.open_slow("127.0.0.1", deployment.port, path, token, pause_seconds=0.5) for _ in range(slow)
        ]
        among.append(await measure())
        for each in dragging:
            each.close()
        await settled(lambda: len(taken))
    for each in (speaker, *readers):
        each.close()
    figure = f"{median(without):.1f} → {median(among):.1f} ms: ×{median(among) / median(without):.2f}"
    return Measured("S8 p99 of 10 readers, without → with 100 slow ones", figure)


class Sender:
    """Keeps `window` sends outstanding on one socket. `texts` are what is said, in turns; they need no escapes."""

    def __init__(self, deployment: Deployment, person: Client, room: str, *, window: int) -> None:
        self.acknowledged = 0
        self.texts: tuple[str, ...] = (TEXT,)
        self._deployment = deployment
        self._person = person
        self._room = room
        self._window = window
        self._sending = False
        self._next = 0

    async def open(self) -> None:
        self.socket = await Socket.open(
            "127.0.0.1", self._deployment.port, f"/api/v1/ws/{self._room}", await self._person.token(), self._heard
        )

    def start(self) -> None:
        self._sending = True
        for _ in range(self._window):
            self._send()

    def stop(self) -> None:
        self._sending = False

    def say_once(self) -> None:
        self._send()

    def _heard(self, payload: bytes) -> None:
        if payload.startswith(b'{"type":"reply"'):
            if b'"ok":true' not in payload:
                raise RuntimeError(payload.decode())
            self.acknowledged += 1
            if self._sending:
                self._send()

    def _send(self) -> None:
        self._next += 1
        text = self.texts[self._next % len(self.texts)]
        frame = f'{{"id":{self._next},"type":"send","room_id":"{self._room}","content":"{text}"}}'
        self.socket.send(frame.encode())


async def settled(count: Callable[[], int]) -> None:
    """Wait until a count stands still for half a second, at most ten."""
    last = -1
    for _ in range(20):
        now = count()
        if now == last:
            return
        last = now
        await asyncio.sleep(0.5)
