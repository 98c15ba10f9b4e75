"""Log-ins: what a stopwatch learns from them, and what a flood of them costs those who talk.

T1 the medians of known and unknown, for log-in, registration and a forgotten password, with the hash of production.
L1 acknowledgements while an attacker tries 200 passwords a second, each from another address and of another account, so
that no limit but the queue for hashing stops them; paired with the same talk in peace, round by round.
L2 how fast accounts are registered and logged in on a machine that does nothing else, and how much of it hashing takes.
"""

import asyncio
import time
from statistics import median
from typing import cast
from uuid import uuid4

import httpx

from bench.deployment import Deployment
from bench.load import PASSWORD, Socket
from bench.sockets import TEXT, Measured, people, room_of, settled

WRONG = "no such battery staple"


def behind_a_proxy() -> Deployment:
    """A deployment that believes who stands before it: so a bench has as many addresses as it likes."""
    deployment = Deployment()
    deployment.environment |= {"HANSARD_LIMITS": "strict", "HANSARD_TRUSTED_PROXIES": "127.0.0.0/8"}
    return deployment


def confirming() -> Deployment:
    """A deployment in which nobody learns by registering whether an address has an account."""
    deployment = Deployment()
    deployment.environment |= {"HANSARD_VERIFY_EMAIL": "required"}
    return deployment


async def stopwatch(deployment: Deployment, *, rounds: int = 60) -> list[Measured]:
    """T1."""
    known = f"bench-{uuid4().hex[:10]}@example.com"
    async with httpx.AsyncClient(base_url=deployment.base + "/api/v1", timeout=30) as http:

        async def asked(path: str, **body: str) -> float:
            started = time.perf_counter()
            answer = await http.post(path, json=body)
            elapsed = time.perf_counter() - started
            assert answer.status_code in (201, 202, 401), answer.text
            return elapsed * 1000

        async def log_in(email: str) -> float:
            return await asked("/auth/login", email=email, password=WRONG)

        async def register(email: str) -> float:
            return await asked("/auth/register", email=email, username=f"b{uuid4().hex[:12]}", password=PASSWORD)

        async def forget(email: str) -> float:
            return await asked("/auth/password/forgot", email=email)

        await register(known)
        found = []
        for name, ask in (("log-in", log_in), ("registration", register), ("forgotten password", forget)):
            times: dict[bool, list[float]] = {True: [], False: []}
            for i in range(2 * rounds):
                # Whoever comes second in a pair must not always be the same.
                for is_known in (True, False) if i % 2 else (False, True):
                    email = known if is_known else f"nobody-{uuid4().hex[:10]}@example.com"
                    times[is_known].append(await ask(email))
            there, nowhere = median(times[True]), median(times[False])
            figure = f"{there:.2f} / {nowhere:.2f} ms: ×{there / nowhere:.3f}"
            found.append(Measured(f"T1 {name} of known / unknown, medians of {2 * rounds}", figure))
        return found


async def flood(
    deployment: Deployment, *, speakers: int = 5, sends: int = 50, tries: int = 200, seconds: float = 8, rounds: int = 3
) -> list[Measured]:
    """L1."""
    crowd = await people(deployment.base, speakers)
    room = await room_of(crowd[0], crowd[1:], "L1")
    sent: dict[bytes, float] = {}
    taken: list[float] = []

    def heard(payload: bytes) -> None:
        if payload.startswith(b'{"type":"reply"'):
            started = sent.pop(payload.split(b'"id":', 1)[1].split(b",", 1)[0], None)
            if b'"ok":true' not in payload:
                raise RuntimeError(payload.decode())
            if started is not None:
                taken.append((time.perf_counter() - started) * 1000)

    lines = [
        await Socket.open("127.0.0.1", deployment.port, f"/api/v1/ws/{room}", await one.token(), heard) for one in crowd
    ]
    numbers = iter(range(1, 10**9))

    async def talk() -> tuple[float, float]:
        taken.clear()
        started = time.perf_counter()
        for i in range(int(sends * seconds)):
            await asyncio.sleep(max(0.0, started + i / sends - time.perf_counter()))
            number = next(numbers)
            sent[str(number).encode()] = time.perf_counter()
            lines[i % speakers].say(id=number, type="send", room_id=room, content=TEXT)
        await settled(lambda: len(taken))
        ordered = sorted(taken)
        return median(ordered), ordered[int(len(ordered) * 0.99)]

    await talk()
    peace, attacked, spent = [], [], 0.0
    statuses: dict[int, int] = {}
    answered = 0
    for _ in range(rounds):
        cpu = deployment.cpu_seconds()
        peace.append(await talk())
        spent -= deployment.cpu_seconds() - cpu
        attacker = asyncio.create_task(_attack(deployment, tries, statuses))
        await asyncio.sleep(1)
        cpu, before = deployment.cpu_seconds(), sum(statuses.values())
        attacked.append(await talk())
        spent += deployment.cpu_seconds() - cpu
        answered += sum(statuses.values()) - before
        attacker.cancel()
        await asyncio.gather(attacker, return_exceptions=True)
        await asyncio.sleep(3)  # what is in the queue for hashing is of this round
    for each in lines:
        each.close()
    rows = []
    for name, i in (("p50", 0), ("p99", 1)):
        without, under = median(each[i] for each in peace), median(each[i] for each in attacked)
        rows.append(Measured(f"L1 {name} of an acknowledgement, in peace → at {tries} log-ins/s",
                             f"{without:.1f} → {under:.1f} ms: ×{under / without:.2f}"))  # fmt: skip
    told = " ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
    return [*rows, Measured("L1 how the log-ins were answered; what one costs", told, spent * 1000 / max(1, answered))]


async def crowd(deployment: Deployment, *, accounts: int = 200, at_once: int = 8) -> list[Measured]:
    """L2."""
    tag = uuid4().hex[:10]
    turns = asyncio.Semaphore(at_once)
    rows = []
    async with httpx.AsyncClient(base_url=deployment.base + "/api/v1", timeout=60) as http:

        async def ask(path: str, body: dict[str, str]) -> None:
            async with turns:
                (await http.post(path, json=body)).raise_for_status()

        names = [{"email": f"{tag}-{i}@example.com", "password": PASSWORD} for i in range(accounts)]
        registrations = [each | {"username": f"{tag}{i}"} for i, each in enumerate(names)]
        for what, path, bodies in (
            ("registered", "/auth/register", registrations),
            ("logged in", "/auth/login", names),
        ):
            started, cpu = time.perf_counter(), deployment.cpu_seconds()
            await asyncio.gather(*(ask(path, body) for body in bodies))
            elapsed, spent = time.perf_counter() - started, deployment.cpu_seconds() - cpu
            figure = f"{elapsed:.1f} s, {accounts / elapsed:.0f}/s, {spent / elapsed:.2f} cores"
            rows.append(
                Measured(f"L2 {accounts} accounts {what}, {at_once} at a time", figure, spent * 1000 / accounts)
            )
    return rows


async def _attack(deployment: Deployment, tries: int, statuses: dict[int, int]) -> None:
    """Try so many passwords a second until cancelled, over connections that stay open and cost next to nothing."""
    loop = asyncio.get_running_loop()
    lines = [
        (await loop.create_connection(lambda: _Attacker(statuses), "127.0.0.1", deployment.port))[1] for _ in range(300)
    ]
    started = time.perf_counter()
    try:
        for i in range(10**9):
            await asyncio.sleep(max(0.0, started + i / tries - time.perf_counter()))
            free = next((line for line in lines if not line.is_waiting), None)
            if free is not None:
                free.attempt(i)
    finally:
        for line in lines:
            line.close()


class _Attacker(asyncio.Protocol):
    """One connection, one try at a time."""

    def __init__(self, statuses: dict[int, int]) -> None:
        self.is_waiting = False
        self._statuses = statuses
        self._transport: asyncio.Transport

    def attempt(self, number: int) -> None:
        self.is_waiting = True
        body = f'{{"email":"nobody-{number}@example.com","password":"{WRONG}"}}'
        address = f"198.{18 + number // 65_536 % 2}.{number // 256 % 256}.{number % 256}"
        self._transport.write(
            f"POST /api/v1/auth/login HTTP/1.1\r\nHost: bench\r\nX-Forwarded-For: {address}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )

    def close(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 "):
            status = int(data[9:12])
            self._statuses[status] = self._statuses.get(status, 0) + 1
            self.is_waiting = False  # what follows of this answer is passed over
