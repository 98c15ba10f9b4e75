"""Trials: harms that last, and that promise something by themselves while they do, not only when everything is over.

Each is done to a deployment that works: nothing else is harmed meanwhile. What it finds is a sentence in `broken`; what
people said in it stands in the log, and is held against the record like everything else. Whatever a trial changed it puts
back, also where it is broken off.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from uuid import UUID

import asyncpg
import httpx

from domain.bounds import CLOCK_AHEAD_SECONDS_MAX
from tests.chaos.deployment import GATEWAYS, PROJECTORS, Deployment
from tests.chaos.log import Log
from tests.chaos.owners import Owner
from tests.chaos.people import Account
from tests.files.pictures import png

ASK_SECONDS = 5.0
RETRY_SECONDS = 0.1
UNTIL_SECONDS = 60.0  # what a trial waits for in a deployment that works, on a busy machine
REBUILT_TOGETHER = ("live", "live", "message_html")
GIVEN_UP = ("is being rebuilt already", "could not be exchanged")
SNAPSHOT_SECONDS, SNAPSHOT_SECONDS_MAX = 15.0, 120.0
STALL_SECONDS = 6.0
LEAP = timedelta(days=2)
LEAP_SECONDS = (3.0, 6.0)
POSTS = 3
FLOWS_EVENTS = 50
OBSERVED = ("events observed", "events handed out by the library")


class Trials:
    """The trials of one round. `room` is one of the round's, of which everybody is told everything; `opened` are those that
    are opened here, which are held to the record too."""

    def __init__(self, deployment: Deployment, log: Log, owner: Account, room: str, chance: random.Random) -> None:
        self.broken: list[str] = []
        self.opened: list[str] = []
        self.ending = False  # nobody talks any more: that nothing moves says nothing
        self._deployment = deployment
        self._log = log
        self._owner = owner
        self._room = room
        self._chance = chance
        self._database = Owner(deployment.database_url)

    def every(self) -> dict[str, Callable[[], Awaitable[None]]]:
        return {
            "rebuilds beside each other": self.rebuild_together,
            "long snapshot": self.hold_snapshot,
            "key missing": self.take_keys,
            "clock leaps": self.move_clock,
            "old beside new": self.run_old,
        }

    # Rebuilds beside each other

    async def rebuild_together(self) -> None:
        """Of one group two, of another a third: each ends in the tables it should make, or says why it does not."""
        done = await asyncio.gather(*(self._deployment.command("rebuild", name) for name in REBUILT_TOGETHER))
        for name, (code, said) in zip(REBUILT_TOGETHER, done, strict=True):
            self._judge_rebuild(name, code, said)

    def _judge_rebuild(self, name: str, code: int, said: str) -> None:
        self._log.figures["rebuilds swapped in"] += code == 0
        self._log.figures["rebuilds given up"] += code not in (0, 3)
        if code == 3:
            self.broken.append(f"A rebuild of {name} found other rows than were served: {said}")
        elif code != 0 and not any(reason in said for reason in GIVEN_UP):
            # Nothing else harms the deployment meanwhile: somebody took its tables away.
            self.broken.append(
                f"A rebuild of {name} ended with {code}, and not for a reason that it may: {said[-300:]}"
            )

    # A long snapshot

    async def hold_snapshot(self) -> None:
        """While somebody reads everything at one moment, and a rebuild wants its tables, people are told on.

        The snapshot is held until the rebuild has wanted them: it comes to that late on a busy machine.
        """
        rebuild: asyncio.Task[tuple[int, str]] | None = None
        try:
            async with self._database.snapshot():
                rebuild = asyncio.create_task(self._deployment.command("rebuild", "live"))
                longest = await self._longest_pause(SNAPSHOT_SECONDS, rebuild)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            longest = 0.0  # Postgres was down, or went down with it
        if longest > STALL_SECONDS:
            self.broken.append(f"Nobody was told anything for {longest:.1f} s while a snapshot was held.")
        if rebuild is not None:
            self._judge_rebuild("live", *await rebuild)

    async def flows(self) -> None:
        """Wait until people are told something again."""
        enough = self._observed() + FLOWS_EVENTS
        await self._until(lambda: self.ending or self._observed() >= enough)

    async def _longest_pause(self, seconds: float, rebuild: "asyncio.Task[tuple[int, str]]") -> float:
        """Return for how long nobody was told anything new, within so many seconds, and until a rebuild has ended; or until
        that was too long.

        What is new is told once the tables have it. That sockets hear something says nothing: some come from far behind.
        """
        longest, since, seen, began = 0.0, monotonic(), 0, monotonic()
        while longest <= STALL_SECONDS and not self.ending:
            if monotonic() > began + (seconds if rebuild.done() else SNAPSHOT_SECONDS_MAX):
                break
            await asyncio.sleep(RETRY_SECONDS)
            place, head = await self._database.followed()
            if place != seen or place == head:
                seen, since = place, monotonic()
            longest = max(longest, monotonic() - since)
        return longest

    def _observed(self) -> int:
        return sum(self._log.figures[name] for name in OBSERVED)

    # A missing key

    async def take_keys(self) -> None:
        """Nothing is read as erased, replaced or removed while somebody's keys are away; then all is as before."""
        text = f"owner {self._chance.getrandbits(32):x}"
        message_id, uploaded = await self._say(GATEWAYS[0], self._room, text), await self._upload(self._room)
        if message_id is None or uploaded is None or not await self._is_completed(uploaded):
            return
        keys = await self._database.take_keys(self._owner.user_id)
        try:
            for gateway in GATEWAYS:
                await self._reads_a_problem(gateway, message_id, text)
                await self._post(gateway, self._room, f"{text} again")
            code, said = await self._deployment.command("rebuild", "live")
            if code in (0, 3):
                self.broken.append(f"A rebuild ended with {code} while keys were missing: {said}")
            elif "missing" not in said:
                self._log.complaints[f"rebuild without keys: {said.strip().splitlines()[-1:]}"] += 1
            await self._deployment.sweep()
        finally:
            await self._database.put_keys(keys)
        for path, is_there in (
            (f"/messages/{message_id}/history", lambda it: text in it.text),
            (f"/files/{uploaded}/variants/preview", lambda it: it.status_code == 200),
        ):
            for gateway in GATEWAYS:
                if await self._answers("GET", gateway, path, is_there) is None:
                    self.broken.append(f"{gateway} could not read {path} again when the keys were back.")

    async def _reads_a_problem(self, gateway: str, message_id: str, text: str) -> None:
        """Wait until a gateway says that it cannot read what it has no key for: soon, since it hears of it."""
        until = monotonic() + UNTIL_SECONDS / 2
        while monotonic() < until:
            answer = await self._ask("GET", gateway, f"/messages/{message_id}/history")
            if answer is not None and answer.status_code == 503 and "keys_missing" in answer.text:
                return
            if answer is not None and answer.status_code == 200 and text not in answer.text:
                self.broken.append(f"{gateway} read a text as erased whose key was missing: {answer.text[:300]}")
                return
            await asyncio.sleep(RETRY_SECONDS)
        self.broken.append(f"{gateway} did not say that a key was missing within {UNTIL_SECONDS / 2:.0f} s.")

    # A clock that leaps

    async def move_clock(self) -> None:
        """Nothing is written while the database's clock is two days ahead; nothing is held up when it is right again.

        A projector that has its lease from that clock is killed: whoever comes after it need not wait for two days.
        """
        await self._database.set_clock(LEAP)
        try:
            until = monotonic() + self._chance.uniform(*LEAP_SECONDS)
            while monotonic() < until:
                if await self._post(self._chance.choice(GATEWAYS), self._room, "at a time that is not yet"):
                    self.broken.append("A message was taken while the clock had leapt.")
                    break
                await asyncio.sleep(RETRY_SECONDS)
            for name in PROJECTORS:
                self._deployment.kill(name, pause=2.0)
        finally:
            await self._database.set_clock(timedelta(0))
        if count := await self._database.ahead(timedelta(seconds=CLOCK_AHEAD_SECONDS_MAX)):
            self.broken.append(f"{count} events were recorded at times that are still to come.")

    # An old process beside a new one

    async def run_old(self) -> None:
        """A gateway that does not know of a room's end takes nothing in it; a worker that does not know of a task leaves
        it to one that does."""
        uploaded = None
        async with self._deployment.old() as old:
            if not await self._answers("GET", old.gateway, "/users/me", lambda it: it.status_code == 200):
                return
            opened = await self._answers(
                "POST", GATEWAYS[0], "/rooms", lambda it: it.status_code == 201, {"name": "Old"}
            )
            if opened is None:
                return
            room = opened.json()["id"]
            self.opened.append(room)
            await self._say(old.gateway, room, "as it is open")
            uploaded = await self._upload(room)
            archived = await self._answers(
                "DELETE", GATEWAYS[0], f"/rooms/{room}", lambda it: it.status_code in (204, 403, 409)
            )
            for i in range(POSTS if archived is not None else 0):
                await self._post(old.gateway, room, f"too late {i}")  # the record says whether it was taken
            self.broken += [f"An old process beside new ones ended by itself: {end}" for end in old.ends()]
        if uploaded and not await self._is_completed(uploaded):
            self.broken.append("A picture was never processed whose task an old worker may have taken.")

    async def _is_completed(self, file_id: str) -> bool:
        path = f"/files/{file_id}/status"

        def is_meant(answer: httpx.Response) -> bool:
            return answer.status_code == 200 and answer.json()["status"] == "completed"

        return await self._answers("GET", GATEWAYS[1], path, is_meant) is not None

    async def _upload(self, room: str) -> str | None:
        files = {"file": ("dot.png", png(), "image/png")}
        done = await self._answers(
            "POST", GATEWAYS[0], f"/files/upload?room_id={room}", lambda it: it.status_code == 202, files=files
        )
        return None if done is None else str(done.json()["id"])

    # Asking

    async def _say(self, gateway: str, room: str, content: str) -> str | None:
        """Post until it is taken; answers the message's id, None where it was not."""
        message_id = str(UUID(int=self._chance.getrandbits(128), version=4))
        until = monotonic() + UNTIL_SECONDS
        while monotonic() < until:
            if await self._post(gateway, room, content, message_id):
                return message_id
            await asyncio.sleep(RETRY_SECONDS)
        return None

    async def _post(self, gateway: str, room: str, content: str, message_id: str | None = None) -> bool:
        """Post once, and note how it ended; whether it was taken."""
        message_id = message_id or str(UUID(int=self._chance.getrandbits(128), version=4))
        sent = self._log.sent(self._owner.user_id, room, message_id, content)
        answer = await self._ask("POST", gateway, f"/rooms/{room}/messages", {"id": message_id, "content": content})
        if answer is not None and answer.status_code < 300:
            self._log.acknowledged(sent, answer.json()["position"])
            return True
        if answer is None or answer.status_code >= 500:
            self._log.unknown(sent, "" if answer is None else answer.json().get("code", ""))
        else:
            self._log.refused(sent, answer.json().get("code", ""))
        return False

    async def _answers(
        self, method: str, gateway: str, path: str, is_meant: Callable[[httpx.Response], bool], body: object = None,
        files: object = None,
    ) -> httpx.Response | None:  # fmt: skip
        """Ask until the answer is the one that is meant; None where it never was."""
        until = monotonic() + UNTIL_SECONDS
        while monotonic() < until:
            answer = await self._ask(method, gateway, path, body, files)
            if answer is not None and is_meant(answer):
                return answer
            await asyncio.sleep(RETRY_SECONDS)
        return None

    async def _ask(
        self, method: str, gateway: str, path: str, body: object = None, files: object = None
    ) -> httpx.Response | None:
        headers = {"Authorization": f"Bearer {self._owner.token}"}
        with suppress(httpx.HTTPError):
            async with httpx.AsyncClient(headers=headers, timeout=ASK_SECONDS) as http:
                url = f"{self._deployment.base(gateway)}/api/v1{path}"
                return await http.request(method, url, json=body, files=files)  # type: ignore[arg-type]
        return None

    async def _until(self, is_so: Callable[[], bool]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(UNTIL_SECONDS):
                while not is_so():
                    await asyncio.sleep(RETRY_SECONDS)
