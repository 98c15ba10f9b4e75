"""Attacks on projections: text that is dear to render, and events that nobody can take."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from uuid import UUID, uuid4

from adapters.clock import now
from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from adapters.postgres.master_key import load_master
from commands import HANDLERS
from commands.command_bus import CommandBus
from commands.file import NoteProcessing, NoteScan, ReceiveFile
from domain.events import Caller
from domain.file import Variant
from domain.ids import FileId, UserId
from runtime.embedded.children import tied_to_parent
from runtime.embedded.location import locate
from tests.attack.scene import POSTS_A_PERSON, Attack, Found, Person, Scene
from tests.attack.wires import API, ask
from tests.deployments import running

BOMBS = 40
RENDERED_SECONDS = 6.0
DELIVERED_SECONDS = 10.0
DEFINITIONS = "[a]: http://x.example/" + "y" * 3_000 + "\n\n" + "[a]" * 2_300
LINKS = "[a]: b\n\n" + "[a][" * 2_498
# Shapes that renderers of Markdown are known to take long for; each a message long.
SHAPES = (
    LINKS, "[a][" * 2_500, "[a](" * 2_500, "[![a][" * 1_600, "[" * 9_999, "![[" * 3_300, "*a_" * 3_300, "> " * 4_900 + "x", "- " * 4_900 + "x", "`" * 4_999 + "a" + "`" * 4_998,
    "<" * 9_999, "a**b" + "c* " * 3_300, "&" * 9_999, "http://" * 1_400, "|a" * 4_900, "\\" * 9_999, "x" * 9_000 + "@" * 900,
)  # fmt: skip


async def _html(scene: Scene, who: Person, message_id: str, seconds: float) -> str | None:
    """Wait until a message has its HTML; None where it has none in time."""
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline:
        answer = await scene.right(200, "GET", f"/messages/{message_id}?render=html", token=who.token)
        if answer.get("html") is not None:
            return str(answer["html"])
        await asyncio.sleep(0.2)
    return None


async def _bomb(scene: Scene, texts: list[str]) -> Found:
    """Have a member post dear texts; somebody else's plain message must be rendered soon nevertheless.

    Two workers hold each other to the lease of the projection, as in any deployment that has more than one.
    """
    member, other = await scene.person(), await scene.person()
    room, quiet = await scene.room(member), await scene.room(other)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HANSARD_")}
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "runtime.cli", "worker"),
        env=environment | {"HANSARD_HOME": str(scene.home)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        preexec_fn=tied_to_parent(signal.SIGTERM),
    )
    try:
        scene.began()
        await asyncio.gather(*(scene.say(member, room, text) for text in texts[:POSTS_A_PERSON]))
        return await _served_meanwhile(scene, other, quiet, len(texts))
    finally:
        worker.terminate()
        await worker.wait()


async def _served_meanwhile(scene: Scene, other: Person, quiet: str, bombs: int) -> Found:
    started = asyncio.get_running_loop().time()
    said = await scene.say(other, quiet, "*plain*")
    html = await _html(scene, other, said["id"], RENDERED_SECONDS)
    took = asyncio.get_running_loop().time() - started
    while not scene.is_over:
        await asyncio.sleep(0.1)
    scene.ended()
    breaches = [] if html is not None else [f"another room's message is not rendered after {RENDERED_SECONDS:.0f} s"]
    return Found(f"{bombs} messages", f"another's rendered after {took:.1f} s", breaches)


async def markdown_links(scene: Scene) -> Found:
    """A member cannot stop the rendering of everybody's messages: `[a][` × 2,500, forty times (issue 9, 8)."""
    return await _bomb(scene, [LINKS] * BOMBS)


async def markdown_shapes(scene: Scene) -> Found:
    """Nor by any other shape of text."""
    return await _bomb(scene, [*SHAPES, *SHAPES, *[DEFINITIONS] * 10])


async def markdown_definitions(scene: Scene) -> Found:
    """Ten kilobytes of Markdown do not become four megabytes of HTML: at most 8 × as much and 4 KiB (issue 9, 9)."""
    member = await scene.person()
    room = await scene.room(member)
    scene.began()
    said = await scene.say(member, room, DEFINITIONS)
    html = await _html(scene, member, said["id"], RENDERED_SECONDS)
    scene.ended()
    size = len((html or "").encode())
    allowed = 8 * len(DEFINITIONS.encode()) + 4_096
    breaches = [f"{len(DEFINITIONS):,} bytes became {size:,}"] if size > allowed else []
    return Found(f"{len(DEFINITIONS):,} bytes", f"{size:,} bytes of HTML", breaches)


async def poison_event(scene: Scene) -> Found:
    """An event that a projection cannot take, here a picture 2^40 wide, is refused or parked; the rest goes on (issue 9, 10)."""
    person = await scene.person()
    room = await scene.room(person)
    listener = await scene.socket(token=person.token, path=f"{API}/ws/{room}")
    await listener.heard(0.5)
    scene.began()
    answered = await _poison(scene.home, UserId(UUID(person.id)))
    said = await scene.say(person, room, "after the poison")
    deadline = asyncio.get_running_loop().time() + DELIVERED_SECONDS
    is_delivered = False
    while not is_delivered and asyncio.get_running_loop().time() < deadline:
        told = await listener.heard(0.5)
        is_delivered = any(frame.get("data", {}).get("id") == said["id"] for frame in told if frame["type"] == "event")
    scene.ended()
    listener.close()
    breaches = [] if is_delivered else [f"nothing is delivered any more, {DELIVERED_SECONDS:.0f} s later"]
    ready = (await ask(scene.port, scene.address, "GET", "/readyz")).status
    if not is_delivered and ready == 200:
        breaches.append("/readyz says that all is well")
    return Found("a variant 2^40 pixels wide", f"{answered}; /readyz {ready}", breaches)


async def _poison(home: Path, user_id: UserId) -> str:
    """Say to the record what a child that was taken over would have it believe."""
    db = await Database.open(locate(home).login_url("worker"), size=2)
    record = PostgresRecord(db, Vault(db, load_master(home / "master.key", create=False)), now=now, chance=os.urandom)
    try:
        async with running(record.run()):
            return await _recorded(CommandBus(record, HANDLERS, now=now, chance=os.urandom), user_id)
    finally:
        await db.close()


async def _recorded(command_bus: CommandBus, user_id: UserId) -> str:
    file_id, saga = FileId(uuid4()), Caller(agent="attack")
    await command_bus.do(ReceiveFile(file_id, "cat.png", "image/png", 100, "ab" * 32), Caller(user_id=user_id))
    await command_bus.do(NoteScan(file_id, "basic"), saga)
    try:
        wide = Variant("original", 2**40, 3, "image/webp", 90, "cd" * 32)
        await command_bus.do(NoteProcessing(file_id, (wide,)), saga)
    except Exception as refused:
        return f"refused: {type(refused).__name__}"
    return "recorded"


ATTACKS = (
    Attack("markdown-definitions", markdown_definitions, is_watched=False),
    Attack("markdown-shapes", markdown_shapes, is_lasting=True),
    Attack("markdown-links", markdown_links, is_lasting=True),
    Attack("poison-event", poison_event, is_watched=False, is_lasting=True),
)
