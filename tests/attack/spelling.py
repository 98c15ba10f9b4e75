"""Attacks by spelling: the same route written otherwise, past its limits (issue 9, 4).

Each spelling is tried from an address (or by a person) of its own, so that only the spelling differs. Not found is a
defence, a redirect too; what is served beyond the limit of the plain spelling is a breach. All have a token: without
one, whatever the table does not name is refused before it is looked at.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from tests.attack.scene import Attack, Found, Person, Scene, Tally
from tests.attack.wires import API, REFUSED, Answer, Wire
from tests.deployments import PASSWORD

AT_ONCE = 6
SERVED = frozenset({200, 201, 202, 403, 409, 422})  # looked at; a wrong password is, too
BAD_CREDENTIALS = b"auth.bad_credentials"
LOGINS, REGISTRATIONS, SENDS, UPLOADS = (30, 0.5), (20, 1 / 6), (100, 20.0), (20, 1 / 6)  # burst, and a second (strict)


def spellings(path: str) -> tuple[str, ...]:
    """Return ways to write a path that a lenient router takes for the same."""
    head, _, last = path.rpartition("/")
    return (
        path + "/", f"{head}//{last}", "/" + path, f"{head}/%{ord(last[0]):02x}{last[1:]}", path + "//", f"{head}/./{last}",
        f"{path};x=1", path.replace("/api", "/%61pi"),
    )  # fmt: skip


async def _hammer(
    scene: Scene, source: str, path: str, bodies: Sequence[Any], **options: Any
) -> tuple[int, Tally, float]:
    """Ask with each body; answers how many were served, how all were answered, and how long it took."""
    started, left, answers = time.monotonic(), list(bodies), list[Answer]()

    async def some() -> None:
        wire: Wire | None = None
        while left:
            body = left.pop()
            try:
                if wire is None or wire.is_closed:
                    wire = await Wire.open(scene.port, source)
            except OSError:
                answers.append(Answer(REFUSED))
                continue
            answers.append(await wire.ask("POST", path, body, **options))
        if wire is not None:
            wire.close()

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    tally = Tally.of(answers)
    served = sum(answer.status in SERVED or BAD_CREDENTIALS in answer.body for answer in answers)
    return served, tally, time.monotonic() - started


async def _beyond(
    scene: Scene, path: str, make: Any, limit: tuple[int, float], tries: int, *, people: Sequence[Person] = (),
    **options: Any,
) -> Found:  # fmt: skip
    """Try each spelling more often than the plain one is served."""
    breaches, total = [], Tally()
    scene.began()
    for n, spelling in enumerate(spellings(path)):
        source, person = scene.fresh_address(), people[n] if people else None
        asked = options | ({"token": person.token} if person else {})
        served, tally, took = await _hammer(scene, source, spelling, [make() for _ in range(tries)], **asked)
        total.counts.update(tally.counts)
        if served > limit[0] + limit[1] * took + 2:
            breaches.append(f"{spelling}: {served} of {tries} served")
    scene.ended()
    return Found(f"{tries} × {len(spellings(path))} spellings", str(total), breaches)


async def log_in(scene: Scene) -> Found:
    """However log-in is written, an address looks at 30 passwords a minute."""

    def body() -> dict[str, str]:
        return {"email": f"{uuid4().hex}@example.com", "password": "not the right one"}

    path = f"{API}/auth/login"
    people = [await scene.person() for _ in spellings(path)]
    return await _beyond(scene, path, body, LOGINS, 45, people=people)


async def register(scene: Scene) -> Found:
    """However registration is written, an address has 20 tries at once and ten a minute."""
    body = {"email": "x", "username": "x", "password": PASSWORD}
    path = f"{API}/auth/register"
    people = [await scene.person() for _ in spellings(path)]
    return await _beyond(scene, path, lambda: body, REGISTRATIONS, 30, people=people)


async def messages(scene: Scene) -> Found:
    """However the route of messages is written, a person sends 100 at once and 20 a second."""
    path = f"{API}/rooms/{{}}/messages"
    people = [await scene.person() for _ in spellings(path)]
    room = await scene.room(people[0], *people[1:])
    return await _beyond(scene, path.format(room), lambda: {"content": "x"}, SENDS, 170, people=people)


async def upload(scene: Scene) -> Found:
    """However upload is written, a person uploads 20 files at once and ten a minute."""
    path = f"{API}/files/upload"
    people = [await scene.person() for _ in spellings(path)]
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nx\r\n--b--\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    return await _beyond(scene, path, lambda: body, UPLOADS, 30, people=people, **kind)


ATTACKS = (
    Attack("spelling-log-in", log_in, is_watched=False),
    Attack("spelling-register", register, is_watched=False),
    Attack("spelling-messages", messages, is_watched=False),
    Attack("spelling-upload", upload, is_watched=False),
)
