"""What an operator sees of files: `hansard tasks` through the real command line, and what `hansard doctor` says of them."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.media.scanner import MADE_AT
from runtime.operators.doctor import doctor
from runtime.settings import Settings
from runtime.settings_reader import read
from tests.deployments import as_login, deployment, until
from tests.files.clamd import KIND, clamd
from tests.files.deployments import ended, worker, working
from tests.files.pictures import harmful
from tests.files.test_saga import Moody

MASTER_KEY = b"a master key for tests, 32 bytes".hex()


async def test_tasks_are_listed_in_every_state_and_one_is_tried_again(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    (tmp_path / "master.key").write_text(MASTER_KEY)
    (tmp_path / "master.key").chmod(0o600)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HANSARD_")},
        "HANSARD_HOME": str(tmp_path / "home"), "HANSARD_DATABASE_URL": as_login(database_url, "operator"), "HANSARD_REDIS_URL": redis_url,
        "HANSARD_MASTER_KEY_FILE": str(tmp_path / "master.key"),
    }  # fmt: skip

    async def hansard(*asked: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "runtime.cli", *asked),
            env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        return process.returncode, said.decode()

    scanner = Moody()
    async with (
        deployment(database_url, redis_url) as deployed,
        worker(deployed, database_url, redis_url, scanner=scanner, claim_seconds=30) as works,
    ):
        ada = await deployed.person()

        async def one(content: bytes, **options: object) -> str:
            """Upload a file and have a hand fail with it."""
            file_id = str((await ada.upload(content))["id"])
            hand = works.hand("scan", **options)
            while not await hand.step():
                pass
            return file_id

        scanner.away = False
        infected = await one(harmful())
        scanner.away = True
        given_up = await one(b"given up", tries_max=1)
        later = await one(b"tried again in an hour", backoff_seconds=3600)
        running = (await ada.upload(b"running"))["id"]
        while await works.tasks.take("scan") is None:
            pass
        waiting = (await ada.upload(b"waiting"))["id"]
        for file_id in (infected, given_up):
            assert (await ended(ada, file_id))["status"] == "failed"

        code, said = await hansard("tasks")
        assert code == 0
        lines = {line.split(": ")[0]: line for line in said.splitlines()}
        assert lines[f"ScanFile {waiting}"].split(": ", 1)[1].startswith("waiting (try 1, since 20")
        assert f": running by {works.tasks._consumer}, heard of " in lines[f"ScanFile {running}"]
        assert f"ScanFile {later}: later at " in said
        assert lines[given_up].startswith(f"{given_up}: failed, gave_up (at 20")
        assert lines[infected].startswith(f"{infected}: failed, infected (at 20")
        retried, refused = await asyncio.gather(
            *(hansard("tasks", "retry", file_id) for file_id in (given_up, infected))
        )
        assert retried == (0, f"{given_up} is tried again.\n")
        assert refused == (1, "hansard: Only a file that was given up can be tried again.\n")
        await works.services.settled()

        scanner.away = False
        held = await works.tasks._redis.xpending_range(works.tasks._stream("scan"), "workers", "-", "+", 10)
        await works.tasks._redis.xclaim(
            works.tasks._stream("scan"), "workers", "gone", 0, [entry["message_id"] for entry in held], idle=60_000
        )
        async with working(works):
            for file_id in (given_up, later, running, waiting):
                assert (await ended(ada, file_id))["status"] == "completed"

            async def idle() -> bool:
                return await works.tasks.listed() == []

            await until(idle)
        code, said = await hansard("tasks")
        assert (code, said.splitlines()) == (0, [lines[infected]])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home under which nothing runs."""
    (tmp_path / "home").mkdir()
    return read({"HANSARD_HOME": str(tmp_path / "home")})


async def told(settings: Settings, capsys: pytest.CaptureFixture[str], about: str) -> str:
    """Return what the doctor says of one thing."""
    code = await doctor(settings, [about])
    [line] = [line for line in capsys.readouterr().out.splitlines() if line[7:].startswith(f"{about}: ")]
    assert code == line.startswith("[FAIL]")
    return line


@asynccontextmanager
async def clamd_of_version(folder: Path, version: str) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readuntil(b"\0") == b"zVERSION\0"
        writer.write(version.encode() + b"\0")
        writer.close()

    server = await asyncio.start_unix_server(serve, folder / "versioned.sock")
    async with server:
        yield f"unix://{folder}/versioned.sock"


async def test_doctor_names_the_scanner(settings: Settings, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert await told(settings, capsys, "scanner") == (
        "[ok]   scanner: the basic check, which knows the EICAR test file and nothing else; "
        "set HANSARD_SCANNER_URL to have files scanned"
    )
    async with clamd(tmp_path) as url:
        print(f"doctor asked: {KIND}")
        said = await told(replace(settings, scanner_url=url), capsys, "scanner")
        assert said.startswith("[ok]   scanner: ClamAV 1.") and f" at {url}; it does not say how old" in said
    said = await told(replace(settings, scanner_url=f"unix://{tmp_path}/none.sock"), capsys, "scanner")
    assert said.startswith("[FAIL] scanner: unix://") and "Until it does, uploads wait" in said
    today = datetime.now(UTC)
    for days, begins, says in ((2, "[ok]   ", "signatures 2 days old"), (30, "[FAIL] ", "is freshclam running")):
        made_at = (today - timedelta(days=days, hours=1)).strftime(MADE_AT)
        async with clamd_of_version(tmp_path, f"ClamAV 1.4.3/27560/{made_at}") as url:
            said = await told(replace(settings, scanner_url=url), capsys, "scanner")
        assert said.startswith(f"{begins}scanner: ClamAV 1.4.3 at ") and says in said
        (tmp_path / "versioned.sock").unlink(missing_ok=True)
    async with clamd_of_version(tmp_path, "UNKNOWN COMMAND") as url:
        assert (await told(replace(settings, scanner_url=url), capsys, "scanner")).startswith("[FAIL] scanner: ")


async def test_doctor_names_what_holds_the_sandbox_and_what_is_missing(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform == "linux":
        said = await told(settings, capsys, "sandbox")
        assert said.startswith("[ok]   sandbox: children decode, and are held by limits, ") and "seccomp" in said
        assert ("user, " in said) == (os.geteuid() == 0) and ("not by user" in said) == (os.geteuid() != 0)
        assert ("landlock, " in said) != ("not by landlock: it comes with Linux 5.13" in said)
    start = "adapters.media.child_process.Child.start"
    with monkeypatch.context() as without_seccomp:
        real = _start()
        without_seccomp.setattr(start, lambda self: _without_seccomp(real(self), self))
        said = await told(settings, capsys, "sandbox")
        assert said.startswith("[ok]   sandbox: ") and "install libseccomp2" in said
        said = await told(replace(settings, env="production"), capsys, "sandbox")
        assert said.startswith("[FAIL] sandbox: ") and "install libseccomp2" in said

    def dies(self: object) -> str:
        raise EOFError("it ended")

    monkeypatch.setattr(start, dies)
    assert await told(settings, capsys, "sandbox") == "[FAIL] sandbox: no child can be started: it ended"


async def test_doctor_asks_the_blob_store(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert await told(settings, capsys, "files") == "[ok]   files: the blob store answers"
    incoming = settings.home / "files" / "incoming"
    incoming.rmdir()
    incoming.write_text("in the way")
    assert (await told(settings, capsys, "files")).startswith("[FAIL] files: ")
    missing = replace(settings, home=settings.home / "none")
    assert (await told(missing, capsys, "files")).startswith("[FAIL] files: there is no folder ")
    assert not missing.home.exists(), "who only looks makes nothing"


def _start() -> Any:
    from adapters.media import child_process

    return child_process.Child.start


def _without_seccomp(layers: tuple[str, ...], child: Any) -> tuple[str, ...]:
    child.layers = tuple(layer for layer in layers if layer != "seccomp")
    return child.layers  # type: ignore[no-any-return]
