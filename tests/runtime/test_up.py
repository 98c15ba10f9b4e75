"""`hansard up` as its user meets it: started, stopped, killed, started twice. And what it promises under kill -9."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import psutil
import pytest
from hansard_client import Client
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from projections import LIVE, PROJECTIONS
from tests.deployments import PASSWORD, as_login
from tests.lines import Line
from tests.ports import free_port

UP = (sys.executable, "-m", "runtime.cli")


class System:
    """One home and its `hansard up`."""

    def __init__(self, home: Path, port: int) -> None:
        self.home, self.port = home, port
        self.base = f"http://127.0.0.1:{port}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HANSARD_")}
        self.environment = {
            **kept,
            "HANSARD_HOME": str(home),
            "HANSARD_PORT": str(port),
            "HANSARD_ARGON2_MEMORY_KIB": "8192",
        }
        self.process: asyncio.subprocess.Process
        self.said = ""

    async def start(self) -> None:
        """Start it and wait for its greeting."""
        self.process = await self.command("up")
        self.said = ""
        self._greeted = asyncio.Event()
        self._listening = asyncio.create_task(self._listen(self.process))
        async with asyncio.timeout(60):
            await self._greeted.wait()
        assert "The API:" in self.said, f"it ended: {self.said}"

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Hear everything it says, so that it never waits to be heard."""
        assert process.stdout
        async for line in process.stdout:
            self.said += line.decode()
            if line.startswith(b"The API:"):
                self._greeted.set()
        self._greeted.set()

    async def ended(self) -> int:
        """Wait until it has ended; answers its exit code."""
        async with asyncio.timeout(30):
            await self._listening
            return await self.process.wait()

    async def command(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *UP, *arguments, env=self.environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )

    async def run(self, *arguments: str) -> tuple[int, str]:
        """Run another command on this home; answers its exit code and what it said."""
        process = await self.command(*arguments)
        said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode()

    def family(self) -> list[psutil.Process]:
        return [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]

    def child(self, name: str) -> psutil.Process:
        """Return the child whose command line ends with this word, or whose program is so named."""
        for process in self.family():
            with suppress(psutil.NoSuchProcess):
                line = process.cmdline()
                if process.name() == name or (line and line[-1] == name):
                    return process
        raise LookupError(name)

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()


@asynccontextmanager
async def system(folder: Path, **environment: str) -> AsyncIterator[System]:
    made = System(folder / "a home", free_port())
    made.environment |= environment
    try:
        await made.start()
        yield made
    finally:
        if made.process.returncode is None:
            await made.stop()


async def gone(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Wait until these have ended, at most 15 s; answers those that have not."""
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, 15)
    return [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


async def test_it_greets_with_lines_that_work_and_finds_its_data_again(tmp_path: Path) -> None:
    async with system(tmp_path) as hansard:
        tour = [line.strip() for line in hansard.said.splitlines() if line.startswith("  ")]
        assert len(tour) == 3
        shell = await asyncio.create_subprocess_exec("sh", "-c", "\n".join(tour), stdout=asyncio.subprocess.PIPE)
        out, _ = await shell.communicate()
        decoder = json.JSONDecoder()
        profile, end = decoder.raw_decode(out.decode())
        message, _ = decoder.raw_decode(out.decode()[end:].lstrip())
        assert (profile["username"], message["content"]) == ("ada", "Hello")
        # A second one on the same home says so.
        code, said = await hansard.run("up")
        assert (code, "Hansard is already running on" in said) == (1, True)
        second = System(hansard.home, free_port())
        code, said = await second.run("up")
        assert code == 1
        assert (
            said.strip()
            == f"hansard: Hansard is already running on {hansard.home.resolve()} (process {hansard.process.pid}): "
            "stop that one, or set HANSARD_HOME and HANSARD_PORT to others."
        )
        # The operator's commands.
        assert await hansard.run("grant", "ada@example.com", "auditor") == (0, "ada@example.com is auditor.\n")
        assert await hansard.run("grant", "ada@example.com", "auditor") == (0, "ada@example.com was auditor already.\n")
        assert await hansard.run("grant", "nobody@example.com", "auditor") == (
            1,
            "hansard: Nobody registered with nobody@example.com.\n",
        )
        code, said = await hansard.run("keys", "rotate")
        assert code == 0 and "signs from" in said
        code, said = await hansard.run("keys", "list")
        assert (code, said.count(" signs from"), said.count("will sign from")) == (0, 1, 1)
        code, said = await hansard.run("doctor")
        assert code == 0, said
        assert "[ok]   scanner: the basic check" in said and "[ok]   sandbox: " in said
        code, said = await hansard.run("rebuild", "--all")
        assert code == 0, said
        assert said.count("equals what was served") == sum(len(group.tables) for group in PROJECTIONS.values())
        code, said = await hansard.run("rebuild", "message_html", "--rollback")
        assert code == 0 and "read.message_html: what was served before is served again, " in said, said
        code, said = await hansard.run("rebuild", "live", "--shadow", "--show-content")
        assert (code, said.count("not swapped")) == (0, len(LIVE.tables)), said
        code, said = await hansard.run("rebuild", "live", "--show-content")
        assert code == 2 and "--show-content goes with --shadow" in said, said
        code, said = await hansard.run("record", "topics")
        assert code == 0 and "\nmessage.posted " in said, said
        assert await hansard.run("account", "deactivate", "ada@example.com") == (0, "ada@example.com is deactivated.\n")
        family = hansard.family()
        assert await hansard.stop() == 0
        assert await gone(family) == []
        await hansard.start()
        async with httpx.AsyncClient(base_url=hansard.base + "/api/v1") as http:
            login = {"email": "ada@example.com", "password": "correct horse battery"}
            assert (await http.post("/auth/login", json=login)).status_code == 401
            assert await hansard.run("account", "activate", "ada@example.com") == (0, "ada@example.com is active.\n")
            assert (await http.post("/auth/login", json=login)).status_code == 200


async def test_killed_with_9_it_leaves_no_process_behind(tmp_path: Path) -> None:
    async with system(tmp_path) as hansard:
        family = hansard.family()
        assert len(family) >= 6
        hansard.process.kill()
        await hansard.process.wait()
        assert await gone(family) == []
        await hansard.start()
        assert (await hansard.run("doctor"))[0] == 0


async def test_told_to_stop_while_the_database_is_prepared_it_ends_well_whoever_else_was_told(tmp_path: Path) -> None:
    """A supervisor may tell the whole group: then the process that prepares is ended by it, too."""
    hansard = System(tmp_path / "home", free_port())
    hansard.process = await hansard.command("up")
    async with asyncio.timeout(60):
        while not (preparing := _preparing(hansard)):
            await asyncio.sleep(0.005)
    hansard.process.send_signal(signal.SIGTERM)
    preparing[0].terminate()
    said, _ = await hansard.process.communicate()
    assert hansard.process.returncode == 0, said
    assert b"Stopped." not in said, "no child was started"


def _preparing(hansard: System) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return [process for process in hansard.family() if "--prepare" in process.cmdline()]
    return []


async def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = await System(tmp_path / "home", port).run("up")
    assert code == 1
    assert (
        said
        == f"hansard: Cannot listen on 127.0.0.1:{port}: Address already in use. Set HANSARD_PORT to another one.\n"
    )


@pytest.mark.parametrize(
    ("command", "environment", "says"),
    [
        ("gateway", {}, "Nothing runs under"),
        ("rebuild --all", {}, "Nothing runs under"),
        (
            "projector",
            {"HANSARD_DATABASE_URL": "postgresql://x@127.0.0.1:1/x"},
            "Postgres at 127.0.0.1:1 does not answer",
        ),
        ("up", {"HANSARD_DATABASE_URL": "postgresql://x@127.0.0.1:1/x"}, "with 'hansard keys master new'."),
        ("up", {"HANSARD_PRT": "1"}, "HANSARD_PRT is no setting; did you mean HANSARD_PORT?"),
    ],
)
async def test_what_is_not_there_is_one_sentence(
    tmp_path: Path, command: str, environment: dict[str, str], says: str
) -> None:
    alone = System(tmp_path / "home", free_port())
    alone.environment |= environment
    code, said = await alone.run(*command.split())
    assert code == 1
    assert says in said and said.startswith("hansard: ") and said.count("\n") == 1


async def test_with_servers_of_ones_own_up_names_the_command_that_makes_the_key_and_then_takes_it(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    alone = System(tmp_path / "home", free_port())
    (tmp_path / "home").mkdir(mode=0o700)
    alone.environment |= {"HANSARD_DATABASE_URL": as_login(database_url, "gateway"), "HANSARD_REDIS_URL": redis_url}
    key = tmp_path / "home" / "master.key"
    code, said = await alone.run("up")
    assert (code, said.count("\n")) == (1, 1)
    assert f"There is no master key at {key}" in said and "'hansard keys master new'" in said
    code, said = await alone.run("keys", "master", "new")
    assert code == 0 and said.startswith(f"Made {key}. Keep a copy elsewhere")
    made = key.read_text()
    assert await alone.run("keys", "master", "new") == (0, f"There is a master key at {key} already; it stays.\n")
    assert (key.read_text(), key.stat().st_mode & 0o777) == (made, 0o600)
    # A child that fails for a reason that will not go away ends the whole, instead of being started again for ever.
    code, said = await alone.run("up")
    assert code == 1
    [ended] = re.findall("The (gateway|worker) cannot run as it is set up", said)  # whichever was the first
    lacks = {"gateway": "projector", "worker": "worker"}[ended]  # a gateway does the projector's work
    assert f"hansard_gateway_login may not do what the {lacks} does" in said and "is started again" not in said


async def test_a_lost_master_key_is_not_replaced_while_the_record_holds_something(tmp_path: Path) -> None:
    async with system(tmp_path) as hansard:
        await _move_in(hansard)
        await hansard.stop()
        key = hansard.home / "master.key"
        kept = key.read_text()
        key.unlink()
        code, said = await hansard.run("up")
        assert code == 1 and f"there is no master key at {key}" in said and "Put back the copy" in said
        assert not key.exists()
        key.write_text(kept)
        await hansard.start()


async def test_a_process_whose_loop_failed_says_so_by_its_exit_code(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    """A supervisor that starts again only what failed must hear of it."""
    key = tmp_path / "master.key"
    key.write_text("0f" * 32)
    key.chmod(0o600)
    alone = System(tmp_path / "home", free_port())
    alone.environment |= {
        "HANSARD_DATABASE_URL": database_url,
        "HANSARD_REDIS_URL": redis_url,
        "HANSARD_MASTER_KEY_FILE": str(key),
    }
    process = await alone.command("projector")
    assert process.stdout
    async with asyncio.timeout(30):
        async for line in process.stdout:
            if b"lease taken" in line:
                break
        postgres = await asyncpg.connect(database_url)
        await postgres.execute("DROP TABLE read.checkpoints")
        await postgres.close()
        said = await process.stdout.read()
        assert await process.wait() == 1
    assert b"a loop ended" in said and b"live group" in said


async def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    mounted = await asyncio.create_subprocess_exec(
        *("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(tmp_path)), stderr=asyncio.subprocess.DEVNULL
    )
    if await mounted.wait() != 0:
        pytest.skip("only root may mount a small disk")
    try:
        code, said = await System(tmp_path / "home", free_port()).run("up")
    finally:
        await (await asyncio.create_subprocess_exec("umount", str(tmp_path))).wait()
    assert code == 1
    assert "No space left on device" in said.splitlines()[-1]
    assert said.splitlines()[-1].startswith("hansard: ")


async def test_kill_9_of_every_process_amid_1000_sends_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """A client that repeats what was not acknowledged, with the same id, ends with every message once and in one order."""
    async with system(tmp_path) as hansard:
        token, room_id = await _move_in(hansard)
        acknowledged: dict[str, int] = {}
        ids = [str(uuid4()) for _ in range(1_000)]
        sending = asyncio.create_task(_send_all(hansard, token, room_id, ids, acknowledged))
        for share, victim in (
            (0.15, "gateway"),
            (0.3, "worker"),
            (0.45, "gateway"),  # it does the projector's work, too: each time its lease is taken over
            (0.6, "valkey-server"),
            (0.8, "postgres"),
        ):
            async with asyncio.timeout(30):
                while len(acknowledged) < share * len(ids):
                    assert not sending.done(), sending.exception()
                    await _breathe()
            hansard.child(victim).kill()
        await asyncio.wait([sending], timeout=45)
        assert sending.done(), (
            f"{len(acknowledged)} of {len(ids)} were acknowledged; the house said: {hansard.said[-3000:]}"
        )
        await sending
        async with httpx.AsyncClient(
            base_url=hansard.base + "/api/v1", headers={"Authorization": f"Bearer {token}"}
        ) as http:
            position = (await http.get("/meta")).json()["position"]
            found: list[dict[str, Any]] = []
            cursor = ""
            while True:
                path = f"/rooms/{room_id}/messages?limit=200{cursor}"
                answer = await http.get(path, headers={"Hansard-After": str(position)})
                if answer.status_code == 503:
                    continue  # a projector that was killed is replaced when its lease is over
                page = answer.json()
                found += page["items"]
                if page["next_cursor"] is None:
                    break
                cursor = f"&cursor={page['next_cursor']}"
    assert sorted(message["id"] for message in found) == sorted(ids)
    assert {message["id"]: message["position"] for message in found} == acknowledged


async def _move_in(hansard: System) -> tuple[str, str]:
    async with httpx.AsyncClient(base_url=hansard.base + "/api/v1") as http:
        person = {"email": "ada@example.com", "username": "ada", "password": PASSWORD}
        assert (await http.post("/auth/register", json=person)).status_code == 201
        login = await http.post("/auth/login", json={"email": person["email"], "password": PASSWORD})
        token = str(login.json()["access_token"])
        room = await http.post("/rooms", json={"name": "Lobby"}, headers={"Authorization": f"Bearer {token}"})
        return token, str(room.json()["id"])


async def _send_all(hansard: System, token: str, room_id: str, ids: list[str], acknowledged: dict[str, int]) -> None:
    """Send every id until it is acknowledged, eight at a time, across any number of connections."""
    while missing := [message_id for message_id in ids if message_id not in acknowledged]:
        with suppress(OSError, WebSocketException, TimeoutError):
            headers = {"Authorization": f"Bearer {token}"}
            async with connect(f"ws://127.0.0.1:{hansard.port}/api/v1/ws", additional_headers=headers) as socket:
                line = Line(socket)
                for start in range(0, len(missing), 8):
                    some = dict(enumerate(missing[start : start + 8]))
                    for number, message_id in some.items():
                        frame = {"room_id": room_id, "message_id": message_id, "content": message_id}
                        await line.send("send", id=number, **frame)
                    waiting = set(some)
                    async with asyncio.timeout(5):
                        while waiting:
                            reply = await line.frame()
                            if reply["type"] == "reply":
                                waiting.discard(reply["id"])
                                if reply["ok"]:
                                    position = acknowledged.setdefault(some[reply["id"]], reply["position"])
                                    assert position == reply["position"], "one id, one position"
        await _breathe()


async def _breathe() -> None:
    """Let the loop and the machine do something else for a moment."""
    await asyncio.sleep(0.01)


def of_port(process: psutil.Process, port: int, status: str) -> int:
    """Return how many connections of a process on a port of its own have this status."""
    return sum(each.laddr.port == port and each.status == status for each in process.net_connections("tcp"))


async def test_several_gateways_share_the_port_hear_each_other_and_end_together(tmp_path: Path) -> None:
    async with system(tmp_path, HANSARD_GATEWAYS="2") as hansard, AsyncExitStack() as stack:
        gateways = [process for process in hansard.family() if process.cmdline()[-1:] == ["gateway"]]
        assert len(gateways) == 2
        async with asyncio.timeout(60):
            while not all(of_port(process, hansard.port, psutil.CONN_LISTEN) for process in gateways):
                await asyncio.sleep(0.05)
        ada = await stack.enter_async_context(Client(hansard.base))
        await ada.register("ada@example.com", "ada", PASSWORD)
        await ada.login("ada@example.com", PASSWORD)
        room = (await ada.open_room("Lobby")).id
        url, token = f"ws://127.0.0.1:{hansard.port}/api/v1/ws/{room}", {"Authorization": f"Bearer {await ada.token()}"}
        sockets: list[ClientConnection] = []
        async with asyncio.timeout(
            30
        ):  # the kernel spreads them by a hash: two of 2^30 runs would need more than thirty
            while not sockets or not all(of_port(each, hansard.port, psutil.CONN_ESTABLISHED) for each in gateways):
                sockets.append(await stack.enter_async_context(connect(url, additional_headers=token)))
        for each in sockets:
            await told(each, "live")
        await ada.send(room, "hello")
        for each in sockets:
            while (event := await told(each, "event"))["event"] != "message.posted":
                pass  # the room was opened a moment ago
            assert event["data"]["content"] == "hello"
            await each.close()
        family = hansard.family()
        assert await hansard.stop() == 0
        assert await gone(family) == []


async def told(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """Return the next frame of a kind."""
    async with asyncio.timeout(10):
        while (frame := json.loads(await socket.recv()))["type"] != kind:
            pass
    found: dict[str, Any] = frame
    return found
