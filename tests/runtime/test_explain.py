"""`hansard explain` through the command line, on a house where everybody stands in every relation to a room."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from domain.authorization import in_room
from domain.membership import MemberRemoved
from tests.deployments import SECRET, deployment
from tests.gateway.scenes import Cast, Scene

Words = tuple[str, ...]
CLI = (sys.executable, "-m", "runtime.cli")
# One process for many commands: to start one costs more than to answer.
MANY = """
import contextlib, io, json, sys
from runtime.cli import run
for line in sys.stdin:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = run(json.loads(line))
        except SystemExit as ended:
            code = ended.code
    print(json.dumps([code, said.getvalue()]))
"""


class Said(NamedTuple):
    code: int
    text: str

    def line(self, label: str) -> str:
        (found,) = (line for line in self.text.splitlines() if line.split()[0] == label)
        return found.removeprefix(label).strip()


@asynccontextmanager
async def hansard(database_url: str, redis_url: str, folder: Path) -> AsyncIterator[tuple[Cast, dict[str, str]]]:
    key = folder / "master.key"
    key.write_text(SECRET.hex())
    key.chmod(0o600)
    async with deployment(database_url, redis_url) as made:
        cast = Cast(made)
        await cast.arrive()
        yield (
            cast,
            {
                **{name: value for name, value in os.environ.items() if not name.startswith("HANSARD_")},
                "HANSARD_HOME": str(folder),
                "HANSARD_DATABASE_URL": database_url,
                "HANSARD_REDIS_URL": redis_url,
                "HANSARD_MASTER_KEY_FILE": str(key),
            },
        )


async def explained(environment: dict[str, str], *asked: Sequence[object]) -> list[Said]:
    """Run `hansard explain` with each of these; answers exit code and output."""
    lines = "".join(json.dumps(["explain", *words]) + "\n" for words in asked)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", MANY, env=environment, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate(lines.encode())
    assert process.returncode == 0
    return [Said(*json.loads(line)) for line in said.splitlines()]


def held(said: Said, code: str | None) -> None:
    """Hold an explanation to what a client is told; None: a yes."""
    assert said.code == (0 if code is None else 1), said.text
    assert said.line("verdict").startswith("allowed" if code is None else f"refused: {code} (HTTP "), said.text


async def test_it_says_who_somebody_is_since_when_and_what_they_are_told(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with hansard(database_url, redis_url, tmp_path) as (cast, environment):
        public, private, archived = [await cast.set(kind) for kind in ("public", "private", "archived")]
        await cast.settled()
        before = (await cast.services.services.record.head()).position
        judged = {
            **of_everybody(cast, (public, private, archived)),
            **of_messages_and_files(public, private),
            **of_people(cast, public),
        }
        unjudged = not_to_be_judged(public)
        answers = dict(
            zip((*judged, *unjudged), await explained(environment, *judged, *unjudged), strict=True)
        )  # all by one process: to start one costs more than to answer
        for words, code in judged.items():
            held(answers[words], code)
            assert words[0].removesuffix("@example.com") in answers[words].line("who"), words
        for words, sentence in unjudged.items():
            said = answers[words]
            assert said.code == 2 and sentence in said.text and "Traceback" not in said.text, (words, said)
        await since_the_very_fact(cast, answers, public)
        assert "account.role_granted" in answers["some-auditor", "audit.read"].line("is")
        assert "account.deactivated" in answers["deactivated", "room.read", str(public.room_id)].line("is")
        promoting = ("one-admin", "member.promote", str(public.room_id), "--whom", "one-member")
        assert "Only an owner gives a role above member." in answers[promoting].line("verdict")
        await as_a_person_runs_it(environment, public)
        assert (await cast.services.services.record.head()).position == before, "explaining writes nothing"


async def since_the_very_fact(cast: Cast, answers: Mapping[Words, Said], public: Scene) -> None:
    """Hold what is said of somebody removed to the record."""
    removed = cast.asking["removed"]
    (recorded,) = [
        recorded
        for recorded in await cast.services.services.record.after(0, limit=10_000)
        if isinstance(recorded.event, MemberRemoved)
        and (recorded.event.room_id, recorded.event.user_id) == (public.room_id, removed.id)
    ]
    said = answers[removed.name, "message.post", str(public.room_id)]
    when = f"since position {recorded.position} ({recorded.at:%Y-%m-%d %H:%M:%S} UTC, member.removed)"
    assert said.line("is") == f"removed; {when}, by founder ({cast.founder.id})"
    assert said.line("asked") == "by  POST /api/v1/rooms/{room_id}/messages, frame send"
    assert f"“{public.canary} name” ({public.room_id}), public" in said.line("room")


def of_everybody(cast: Cast, scenes: Sequence[Scene]) -> dict[Words, str | None]:
    found: dict[Words, str | None] = {}
    for scene in scenes:
        for relationship, guest in cast.asking.items():
            verdict = in_room("message.post", scene.kind, relationship)
            found[guest.name, "message.post", str(scene.room_id)] = None if verdict is None else verdict.code
    return found


def of_messages_and_files(public: Scene, private: Scene) -> dict[Words, str | None]:
    theirs, own, room = str(public.theirs["member"]), str(public.own["member"]), str(public.room_id)
    return {
        ("one-member", "message.edit", theirs): "message.not_yours",
        ("one-member", "message.edit", own): None,
        ("one-admin", "message.delete", own): None,
        ("one-stranger", "message.edit", own): "room.not_a_member",
        ("one-stranger", "message.read", own): None,
        ("one-stranger", "message.read", str(private.own["member"])): "message.not_found",
        ("one-banned", "message.versions", own): "room.banned",
        ("founder", "file.read", str(private.file_id)): None,
        ("one-member", "file.download", str(private.file_id)): None,
        ("one-banned", "file.status", str(public.file_id)): "file.not_found",
        ("one-removed", "file.download", str(private.file_id)): "file.not_found",
        ("one-owner", "file.share", str(private.file_id)): "file.not_found",
        ("one-admin", "member.remove", room, "--whom", "founder"): "room.role_too_low",
        ("one-owner", "member.remove", room, "--whom", "founder"): None,
        ("one-admin", "member.put", room, "--whom", "one-banned"): None,
        ("one-admin", "member.promote", room, "--whom", "one-member"): "room.role_too_low",
        ("one-member", "member.put", room): "room.role_too_low",
    }


def of_people(cast: Cast, public: Scene) -> dict[Words, str | None]:
    return {
        ("some-auditor", "audit.read"): None,
        ("some-person", "audit.read"): "auth.role_needed",
        ("some-person@example.com", "room.open"): None,
        (str(cast.person.id), "user.read", str(cast.auditor.id)): None,
        ("deactivated", "room.read", str(public.room_id)): "auth.session_revoked",
        ("deactivated", "session.open"): "auth.bad_credentials",
        ("some-person", "session.end", str(cast.person.session_id)): None,
        ("some-person", "session.end", str(cast.auditor.session_id)): "session.not_found",
        ("some-person", "profile.read", "some-person"): None,
    }


def not_to_be_judged(public: Scene) -> dict[Words, str]:
    unknown, room = str(uuid4()), str(public.room_id)
    return {
        ("nobody", "room.read", room): "There is no account with this id, name or e-mail: nobody.",
        ("founder", "room.read", unknown): f"There is no room {unknown} on the record",
        ("founder", "room.read", str(public.own["member"])): "is a message",
        ("founder", "message.read", room): "is a room",
        ("founder", "room.read", "Lobby"): "Name the room by its id",
        ("founder", "room.read"): "name the room",
        ("founder", "member.put", room): "--whom",
        ("founder", "profile.read", "some-person"): "only ever asked of oneself",
        ("founder", "room.reed", room): "did you mean room.read?",
        ("founder",): "required",
    }


async def as_a_person_runs_it(environment: dict[str, str], public: Scene) -> None:
    process = await asyncio.create_subprocess_exec(
        *CLI, "explain", "one-banned", "room.read", str(public.room_id), env=environment, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert (process.returncode, b"verdict   refused: room.banned (HTTP 403): You are banned" in said) == (1, True)
