"""`python -m tests.attack.observer PORT HOME`: a second client, in a process of its own, who only wants to be served.

It asks `/livez` on a new connection each time, sends messages and waits until they are delivered on another socket, and
logs in as several people from several addresses. Each sample is a line of JSON: what, when it was due, how long it took
(null: it failed). What is due is begun, however long what was begun before takes: nobody's waiting hides another's.
"""

import asyncio
import itertools
import json
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

from tests.attack.scene import Person, Scene, UnexpectedAnswer
from tests.attack.wires import API, HOST, WebSocket, ask
from tests.deployments import PASSWORD

LIVEZ_A_SECOND, SENDS_A_SECOND, LOGINS_A_SECOND = 40.0, 15.0, 3.0
LOGIN_PEOPLE, LOGIN_ADDRESSES = 12, 60
TIMEOUT_SECONDS = 20.0
IN_FLIGHT_MAX = {"livez": 500, "sends": 300, "log-ins": 6}  # what is not begun for it counts as failed
NUMBER = 63


class Talk:
    """Two sockets of one room: what is said on one is awaited on the other; both are opened again when they close."""

    def __init__(self, scene: Scene, speaker: Person, listener: Person, room: str) -> None:
        self._scene = scene
        self._people = (speaker, listener)
        self._room = room
        self._sockets: list[WebSocket] = []
        self._waiting: dict[str, asyncio.Future[None]] = {}

    async def run(self) -> None:
        while True:
            try:
                self._sockets = [await self._dial(person) for person in self._people]
                await asyncio.wait([asyncio.create_task(self._hear(s)) for s in self._sockets],
                                   return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
            except (OSError, UnexpectedAnswer):
                await asyncio.sleep(0.1)
            for socket in self._sockets:
                socket.close()
            self._sockets = []

    async def _dial(self, person: Person) -> WebSocket:
        path = f"{API}/ws/{self._room}"
        try:
            return await WebSocket.dial(self._scene.port, HOST, token=person.token, path=path)
        except ConnectionError:
            again = await self._scene.log_in(person)  # a token lives a quarter of an hour
            return await WebSocket.dial(self._scene.port, HOST, token=again.token, path=path)

    async def _hear(self, socket: WebSocket) -> None:
        while (frame := await socket.frame(TIMEOUT_SECONDS)) is not None:
            if frame[0] == 9:
                await socket.write(b"\x8a\x80\0\0\0\0")
            if socket is self._sockets[1] and b'"event":"message.posted"' in frame[1]:
                waiting = self._waiting.pop(json.loads(frame[1])["data"]["id"], None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(None)

    async def one(self) -> bool:
        message_id = str(uuid4())
        self._waiting[message_id] = asyncio.get_running_loop().create_future()
        if len(self._sockets) < 2:
            return False
        frame = {"id": 1, "type": "send", "room_id": self._room, "message_id": message_id, "content": "hello"}
        if not await self._sockets[0].say(frame, TIMEOUT_SECONDS):
            return False
        await self._waiting[message_id]
        return True


async def _every(what: str, a_second: float, one: Callable[[], Awaitable[bool]]) -> None:
    """Begin one after another, so many a second, for ever."""
    running: set[asyncio.Task[None]] = set()

    async def sample(due: float) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                took = time.monotonic() - due if await one() else None
        except (OSError, UnexpectedAnswer):
            took = None
        print(json.dumps({"what": what, "at": due, "took": took}), file=sys.stdout, flush=True)

    started = time.monotonic()
    for n in itertools.count():
        due = started + n / a_second
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        if len(running) < IN_FLIGHT_MAX[what]:
            task = asyncio.create_task(sample(due))
            running.add(task)
            task.add_done_callback(running.discard)


async def observe(port: int, home: Path) -> None:
    scene = Scene(port, home, 0.0, number=NUMBER)
    speaker, listener = await scene.person(), await scene.person()
    room = await scene.room(speaker, listener)
    people = deque([await scene.person() for _ in range(LOGIN_PEOPLE)])
    addresses = itertools.cycle([scene.fresh_address() for _ in range(LOGIN_ADDRESSES)])
    talk = Talk(scene, speaker, listener, room)

    async def live() -> bool:
        return (await ask(port, HOST, "GET", "/livez")).status == 200

    async def log_in() -> bool:
        body = {"email": people[0].email, "password": PASSWORD}
        people.rotate()
        answer = await ask(port, next(addresses), "POST", f"{API}/auth/login", body)
        if answer.status == 429:  # its tries are used up: it would fail in quiet as well
            people.remove(next(person for person in people if person.email == body["email"]))
            people.append(await scene.person())
        return answer.status == 200

    async with asyncio.TaskGroup() as group:
        group.create_task(talk.run())
        group.create_task(_every("livez", LIVEZ_A_SECOND, live))
        group.create_task(_every("sends", SENDS_A_SECOND, talk.one))
        group.create_task(_every("log-ins", LOGINS_A_SECOND, log_in))


if __name__ == "__main__":
    asyncio.run(observe(int(sys.argv[1]), Path(sys.argv[2])))
