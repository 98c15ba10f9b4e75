"""Scenes: rooms of every kind with everybody in it who can stand in a relation to a room, full of canaries.

Whatever is said, named or uploaded in a room holds the canary of its kind. People are made at the desk, not by log-ins,
so that hundreds of cases share one house and cost little.
"""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import mkstemp
from typing import Any, get_args
from uuid import uuid4

import httpx

from commands.account import Deactivate, GrantRole, RegisterAccount
from commands.file import NoteProcessing, NoteScan, ReceiveFile
from commands.membership import LeaveRoom, PutMember, RemoveMember
from commands.message import PostMessage
from commands.room import ArchiveRoom, ChangeRoom, OpenRoom
from commands.session import EndSession, OpenSession
from domain.authorization import is_outside
from domain.events import Caller
from domain.file import Variant
from domain.ids import FileId, MessageId, RoomId, SessionId, UserId
from domain.rights import Relationship, RoomKind
from tests.deployments import Gateway
from tests.lines import FRAME_SECONDS, Frame, Line, line

RELATIONS: tuple[Relationship, ...] = get_args(Relationship)
KINDS: tuple[RoomKind, ...] = get_args(RoomKind)
BYTES = b"canary-bytes of every file"
BLOB = sha256(BYTES).hexdigest()


class Guest:
    """Somebody with a session, and everything that they were answered or told."""

    def __init__(self, hansard: Gateway, name: str) -> None:
        self.services, self.name = hansard, name
        self.id, self.session_id = UserId(uuid4()), SessionId(uuid4())
        self.caller = Caller(user_id=self.id, session_id=self.session_id)
        tokens, now = hansard.services.tokens, hansard.services.now()
        self.token, _ = tokens.access(user_id=self.id, session_id=self.session_id, now=now)
        self.http = hansard.client(self.token)
        self.heard: list[str] = []
        self.frames: list[Frame] = []
        self.line: Overheard

    async def arrive(self) -> "Guest":
        command_bus, now = self.services.services.command_bus, self.services.services.now()
        await command_bus.do(RegisterAccount(self.id, f"{self.name}@example.com", self.name, "no hash"), Caller())
        await command_bus.do(OpenSession(self.session_id, self.id, "no token", now + timedelta(days=1)), Caller())
        return self

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        answer = await self.http.request(method, path, **options)
        self.heard.append(f"{answer.headers} {answer.text}")
        return answer


class Overheard(Line):
    """A socket all of whose frames are kept."""

    def __init__(self, line: Line, guest: Guest) -> None:
        super().__init__(line.socket, line.wrote)
        self._guest = guest

    async def frame(self, *, seconds: float = FRAME_SECONDS) -> Frame:
        frame = await super().frame(seconds=seconds)
        self._guest.frames.append(frame)
        self._guest.heard.append(json.dumps(frame, ensure_ascii=False))
        return frame


@dataclass
class Scene:
    """One room. `own`: a message of each who was ever in it; `theirs`: messages of the founder's, one for each who asks."""

    kind: RoomKind
    room_id: RoomId = field(default_factory=lambda: RoomId(uuid4()))
    own: dict[Relationship, MessageId] = field(default_factory=lambda: {each: MessageId(uuid4()) for each in RELATIONS})
    theirs: dict[Relationship, MessageId] = field(
        default_factory=lambda: {each: MessageId(uuid4()) for each in RELATIONS}
    )
    file_id: FileId = field(default_factory=lambda: FileId(uuid4()))

    @property
    def canary(self) -> str:
        return canary(self.kind)


def canary(kind: RoomKind) -> str:
    return f"canary-{kind.replace(' ', '-')}."


class Cast:
    """Everybody. `targets` are members whom an admin and an owner may each ask something of once."""

    def __init__(self, hansard: Gateway) -> None:
        self.services, self.command_bus = hansard, hansard.services.command_bus
        self.kinds: dict[str, RoomKind] = {}
        self.founder = Guest(hansard, "founder")
        self.asking: dict[Relationship, Guest] = {each: Guest(hansard, f"one-{each}") for each in RELATIONS}
        self.targets = {
            (by, role): Guest(hansard, f"{role}-for-{by}")
            for by in RELATIONS
            for role in ("outsider", "member", "admin", "owner")
        }
        # Of a private room not even who is in it is told; everybody's names are public, but where they are is not.
        self.insider = Guest(hansard, "canary-insider")
        self.person, self.auditor = Guest(hansard, "some-person"), Guest(hansard, "some-auditor")
        self.admin = Guest(hansard, "some-admin")
        self.ended, self.shut = Guest(hansard, "logged-out"), Guest(hansard, "deactivated")

    async def arrive(self) -> None:
        others = (self.insider, self.person, self.auditor, self.admin, self.ended, self.shut)
        everybody = (self.founder, *self.asking.values(), *self.targets.values(), *others)
        await asyncio.gather(*(guest.arrive() for guest in everybody))
        await self.command_bus.do(GrantRole(self.auditor.id, "auditor"), Caller())
        await self.command_bus.do(GrantRole(self.admin.id, "admin"), Caller())
        await self.command_bus.do(EndSession(self.ended.session_id, "logout"), self.ended.caller)
        await self.command_bus.do(Deactivate(self.shut.id), Caller())

    async def connect(self, stack: AsyncExitStack) -> None:
        """Open a socket for each of those who ask."""
        for guest in (*self.asking.values(), self.founder, self.person, self.auditor):
            guest.line = Overheard(await stack.enter_async_context(line(self.services, guest)), guest)
            await guest.line.until("hello")

    async def set(self, kind: RoomKind, *, with_targets: bool = False, history: str = "shared") -> Scene:
        """Open a room, and have everybody be in it, or have been, as their name says."""
        scene, do, founder = Scene(kind), self.command_bus.do, self.founder.caller
        room_id, said = scene.room_id, f"{scene.canary} said"
        self.kinds[str(room_id)] = kind
        is_private = kind.startswith("private")
        await do(OpenRoom(room_id, f"{scene.canary} name", f"{scene.canary} described", is_private=is_private), founder)
        if history == "joined":
            await do(ChangeRoom(room_id, history="joined"), founder)
        await asyncio.gather(
            *(do(PostMessage(room_id, message_id, said), founder) for message_id in scene.theirs.values())
        )
        await self._show_file(scene)
        for relationship, guest in self.asking.items():
            if relationship == "stranger":
                continue
            role: Any = "member" if is_outside(relationship) else relationship
            await do(PutMember(room_id, guest.id, role), founder)
            await do(PostMessage(room_id, scene.own[relationship], said), guest.caller)
        if is_private:
            await do(PutMember(room_id, self.insider.id, "member"), founder)
        if with_targets:
            for (_, target_role), guest in self.targets.items():
                if target_role != "outsider":
                    await do(PutMember(room_id, guest.id, target_role), founder)  # type: ignore[arg-type]
        await do(LeaveRoom(room_id), self.asking["left"].caller)
        for relationship in ("removed", "banned"):
            await do(RemoveMember(room_id, self.asking[relationship].id, ban=relationship == "banned"), founder)
        if kind.endswith("archived"):
            await do(ArchiveRoom(room_id), founder)
        return scene

    async def settled(self) -> None:
        """Wait until the tables have everything."""
        await self.services.settled()

    async def _show_file(self, scene: Scene) -> None:
        """Have the founder show a completed picture."""
        file_id, name = scene.file_id, f"{scene.canary} file.png"
        await self.services.services.blobs.put(BLOB, self._staged())
        await self.command_bus.do(ReceiveFile(file_id, name, "image/png", len(BYTES), BLOB), self.founder.caller)
        await self.command_bus.do(NoteScan(file_id, "basic"), Caller())
        variants = tuple(Variant(each, 1, 1, "image/png", len(BYTES), BLOB) for each in ("original", "preview"))
        await self.command_bus.do(NoteProcessing(file_id, variants), Caller())
        shown = PostMessage(scene.room_id, MessageId(uuid4()), f"{scene.canary} caption", "image", file_id)
        await self.command_bus.do(shown, self.founder.caller)

    def _staged(self) -> Path:
        handle, name = mkstemp(dir=self.services.services.blobs.staging())
        with open(handle, "wb") as file:
            file.write(BYTES)
        return Path(name)
