"""`hansard say` and `hansard listen` as their user meets them, against a real gateway."""

import asyncio
import json
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from hansard_client import Client, RecordChanged, Refused, Room, Unreachable

from runtime.cli import run
from runtime.operators.talk import CannotTalkError, listen, say, visible
from tests.deployments import PASSWORD, Gateway, deployment
from tests.ports import free_port


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


@pytest.fixture
async def ada(hansard: Gateway) -> AsyncIterator[Client]:
    async with Client(hansard.base) as client:
        await client.register("ada@example.com", "ada", PASSWORD)
        await client.login("ada@example.com", PASSWORD)
        yield client


@pytest.fixture
async def lobby(ada: Client) -> Room:
    return await ada.open_room("Lobby")


class Terminal:
    """Where commands are typed: a folder with no settings, the local server's port, and perhaps a password."""

    def __init__(self, hansard: Gateway, folder: Path, **environment: str) -> None:
        self._folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HANSARD_")}
        root = str(Path(__file__).parents[2])
        self._environment = {**kept, "PYTHONPATH": root, "HANSARD_PORT": str(hansard.port), **environment}

    async def start(self, *arguments: str, stdin: int = asyncio.subprocess.DEVNULL) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "runtime.cli", *arguments),
            env=self._environment,
            cwd=self._folder,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )

    async def run(self, *arguments: str) -> tuple[int | None, str, str]:
        """Run a command to its end; answers the exit code, what it printed, and what it said beside."""
        process = await self.start(*arguments)
        async with asyncio.timeout(60):
            printed, said = await process.communicate()
        return process.returncode, printed.decode(), said.decode()


@pytest.fixture
def terminal(hansard: Gateway, tmp_path: Path) -> Terminal:
    return Terminal(hansard, tmp_path, HANSARD_PASSWORD=PASSWORD)


AS_ADA = ("--email", "ada@example.com")


async def test_what_is_said_is_posted_and_its_position_printed(terminal: Terminal, ada: Client, lobby: Room) -> None:
    code, printed, said = await terminal.run("say", "Lobby", "Hello, all", *AS_ADA)
    assert (code, said) == (0, "")
    (message, *_) = [message async for message in ada.messages(lobby.id, after=int(printed))]
    assert (message.content, message.position) == ("Hello, all", int(printed))


async def test_one_listens_from_a_position_until_ctrl_c(terminal: Terminal, ada: Client, lobby: Room) -> None:
    gone, kept = await ada.send(lobby.id, "first"), await ada.send(lobby.id, "second")
    await ada.delete(gone.id)
    await ada.edit(kept.id, "third")
    process = await terminal.start("listen", "Lobby", "--after", "0", *AS_ADA)
    assert process.stdout and process.stderr
    async with asyncio.timeout(60):
        lines = [(await process.stdout.readline()).decode() for _ in range(6)]
        assert (await process.stderr.readline()).decode() == "Listening to Lobby; Ctrl-C ends it.\n"
        live = await ada.send(lobby.id, "live\nnow")
        lines += [(await process.stdout.readline()).decode() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        rest, said = await process.communicate()
    at = gone.position
    assert [line.split(" ", 1)[1] for line in lines[:2]] == ["ada: room.opened\n", "ada: member.joined ada\n"]
    assert lines[2:] == [
        f"[{at}] ada: (deleted)\n",
        f"[{at + 1}] ada: second\n",
        f"[{at + 2}] ada deleted [{at}]\n",
        f"[{at + 3}] ada edited [{at + 1}]: third\n",
        f"[{live.position}] ada: live\n",
        "    now\n",
    ]
    assert (process.returncode, rest, said.decode()) == (130, b"", f"To go on from here: --after {live.position}\n")


async def test_a_listener_for_programs_prints_json_lines_and_ends_when_nobody_reads(
    terminal: Terminal, ada: Client, lobby: Room
) -> None:
    process = await terminal.start("listen", lobby.id, "--after", "0", "--json", *AS_ADA)
    assert process.stdout and process.stderr
    async with asyncio.timeout(60):
        opened, joined = [json.loads(await process.stdout.readline()) for _ in range(2)]
        assert (opened["event"], opened["room_id"], opened["data"]["name"]) == ("room.opened", lobby.id, "Lobby")
        assert joined["prev"] == opened["position"]
        assert opened.keys() == {"event", "position", "prev", "room_id", "at", "actor_id", "data"}
        process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
        await ada.send(lobby.id, "into the void")
        said = (await process.stderr.read()).decode()
        assert await process.wait() == 0
    assert "Traceback" not in said and said.splitlines()[-1].startswith("To go on from here: --after ")


async def test_a_removed_listener_is_told_why_it_ended(
    terminal: Terminal, hansard: Gateway, ada: Client, lobby: Room
) -> None:
    async with Client(hansard.base) as ben:
        await ben.register("ben@example.com", "ben", PASSWORD)
        user_id = (await ben.login("ben@example.com", PASSWORD)).user.id
        await ben.join(lobby.id)
    process = await terminal.start("listen", "Lobby", "--email", "ben@example.com")
    assert process.stdout and process.stderr
    async with asyncio.timeout(60):
        await process.stderr.readline()
        await ada.remove_member(lobby.id, user_id)
        printed, said = await process.communicate()
    assert printed.decode().endswith("ada: member.removed ben\n")
    assert process.returncode == 1
    assert said.decode().splitlines()[-1] == "hansard: You are no longer in Lobby: removed."


async def test_the_password_is_asked_for_at_a_terminal(
    hansard: Gateway, tmp_path: Path, ada: Client, lobby: Room
) -> None:
    ours, theirs = pty.openpty()
    process = await Terminal(hansard, tmp_path).start("say", "Lobby", "typed", *AS_ADA, stdin=theirs)
    os.close(theirs)
    assert process.stderr and process.stdout
    async with asyncio.timeout(60):
        said = await process.stderr.readuntil(b"Password of ada@example.com: ")
        os.write(ours, f"{PASSWORD}\n".encode())
        printed, more = await process.communicate()
    os.set_blocking(ours, False)
    with suppress(OSError):
        said += os.read(ours, 10_000)  # what the terminal showed
    os.close(ours)
    assert PASSWORD.encode() not in said + more
    assert (process.returncode, (await ada.message((await newest(ada, lobby)), after=int(printed))).content) == (
        0,
        "typed",
    )


async def newest(client: Client, room: Room) -> str:
    return (await anext(aiter(client.messages(room.id)))).id


async def test_what_cannot_be_is_one_sentence(terminal: Terminal, hansard: Gateway, ada: Client, lobby: Room) -> None:
    code, printed, said = await terminal.run("say", "Attic", "x", *AS_ADA)
    assert (code, printed) == (1, "")
    assert said == "hansard: You are in no room named Attic: join it first, or give its id.\n"
    code, printed, said = await terminal.run("say", "Lobby", "x", "--email", "nobody@example.com")
    assert (code, printed) == (1, "")
    assert said.startswith("hansard: E-mail or password is wrong.") and said.count("\n") == 1
    twins = {(await ada.open_room("Twins")).id for _ in range(2)}
    who = (hansard.base, "ada@example.com", PASSWORD)
    with pytest.raises(CannotTalkError, match="Several rooms are named Twins; give an id: ") as several:
        await say(*who, "Twins", "x")
    assert all(room_id in str(several.value) for room_id in twins)
    # What the client library fails with is a sentence of ours.
    with pytest.raises(CannotTalkError, match=r"room\.not_found") as refused:
        await say(*who, "00000000-0000-4000-8000-000000000000", "x")
    with pytest.raises(CannotTalkError, match="read the room afresh") as changed:
        await listen(*who, "Lobby", after=10**9, as_json=False)
    with pytest.raises(CannotTalkError, match="does not answer") as unreachable:
        await say(f"http://127.0.0.1:{free_port()}", *who[1:], "Lobby", "x")
    causes = [type(each.value.__cause__) for each in (refused, changed, unreachable)]
    assert causes == [Refused, RecordChanged, Unreachable]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("say", "Lobby", "x"), "the following arguments are required: --email"),
        (("listen", "Lobby", "--after", "-1", *AS_ADA), "'-1' is no position: a whole number, from 0"),
        (("listen", "Lobby", "--after", "x", *AS_ADA), "'x' is no position: a whole number, from 0"),
        (("say", "Lobby", "x", *AS_ADA, "--url", "localhost:8000"), "is no address like https://chat.example.com"),
    ],
)
def test_what_is_misused_ends_with_2(arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(arguments)
    assert ended.value.code == 2 and says in capsys.readouterr().err


async def test_nobody_to_ask_is_said(hansard: Gateway, tmp_path: Path) -> None:
    code, _, said = await Terminal(hansard, tmp_path).run("say", "Lobby", "x", *AS_ADA)
    assert (code, said) == (1, "hansard: There is nobody to ask for the password: set HANSARD_PASSWORD.\n")


def test_what_could_steer_a_terminal_is_not_shown() -> None:
    assert visible("a\x1b[31mb\x9bc\u202ed\te\nf") == "a�[31mb�c�d e\n    f"
