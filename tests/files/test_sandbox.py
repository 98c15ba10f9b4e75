"""The sandbox: whatever a file does to its decoder, it happens in a child, and the pool goes on."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from adapters.sandbox import ChildDied, Sandbox, SandboxMissing
from tests.files import pictures
from tests.houses import until

ALL = ("thumbnail", "resize", "compress")
linux = pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "a.png").write_bytes(pictures.png())
    return tmp_path / "a.png"


@pytest.fixture
def hostile() -> Iterator[Sandbox]:
    with Sandbox(module="tests.files.hostile_child", size=1, strict=False, wall_seconds=4.0) as made:
        yield made


@linux
async def test_a_child_can_do_nothing_but_decode(hostile: Sandbox, file: Path) -> None:
    result = await hostile.run("attempt", file, mime_type="image/png", operations=())
    assert result.made[0].name == "nothing"


@pytest.mark.parametrize("job", ["spin", "crash"])
async def test_a_child_that_spins_or_crashes_is_replaced(hostile: Sandbox, file: Path, job: str) -> None:
    for _ in range(2):
        with pytest.raises(ChildDied):
            await hostile.run(job, file, mime_type="image/png", operations=())
    assert (await hostile.run("image", file, mime_type="image/png", operations=ALL)).reason is None
    assert len(hostile.pids()) == 1


async def test_a_child_that_wants_too_much_memory_gets_none(file: Path) -> None:
    # A busy machine takes seconds to hand out what a child may have at most: only the limit may end this one.
    with Sandbox(module="tests.files.hostile_child", size=1, strict=False) as patient:
        result = await patient.run("swell", file, mime_type="image/png", operations=())
        assert result.reason == "too_slow"
        assert (await patient.run("image", file, mime_type="image/png", operations=ALL)).reason is None


async def test_a_child_that_is_killed_fails_its_job_and_no_other(file: Path) -> None:
    with Sandbox(module="tests.files.hostile_child", size=2, strict=False) as sandbox:
        spinning = asyncio.create_task(sandbox.run("spin", file, mime_type="image/png", operations=()))

        async def at_work() -> bool:
            pids = sandbox.pids()
            return bool(pids) and psutil.Process(pids[0]).cpu_times().user > 0.5

        await until(at_work)
        victim = sandbox.pids()[0]
        working = asyncio.create_task(sandbox.run("image", file, mime_type="image/png", operations=ALL))
        os.kill(victim, signal.SIGKILL)
        with pytest.raises(ChildDied):
            await spinning
        assert (await working).reason is None


async def test_a_job_that_is_given_up_leaves_no_child_at_it(hostile: Sandbox, file: Path) -> None:
    spinning = asyncio.create_task(hostile.run("spin", file, mime_type="image/png", operations=()))

    async def started() -> bool:
        return bool(hostile.pids())

    await until(started)
    [victim] = hostile.pids()
    spinning.cancel()
    await asyncio.gather(spinning, return_exceptions=True)
    assert not psutil.pid_exists(victim) and hostile.pids() == []


async def test_no_child_is_left_behind(file: Path) -> None:
    with Sandbox(module="workers.child", size=2, strict=False) as sandbox:
        await asyncio.gather(*(sandbox.run("image", file, mime_type="image/png", operations=ALL) for _ in range(4)))
        pids = sandbox.pids()
        assert len(pids) == 2
    assert not any(psutil.pid_exists(pid) for pid in pids)


async def test_where_it_must_be_safe_it_is_seccomp_or_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.sandbox._Child.start", lambda self: "limits")
    with Sandbox(module="workers.child", size=1, strict=True) as sandbox:
        with pytest.raises(SandboxMissing):
            await sandbox.run("image", file, mime_type="image/png", operations=ALL)
        assert sandbox.pids() == []


async def test_children_are_renewed_after_some_jobs(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.sandbox.CHILD_JOBS_MAX", 2)
    with Sandbox(module="workers.child", size=1, strict=False) as sandbox:
        seen = set()
        for _ in range(4):
            await sandbox.run("image", file, mime_type="image/png", operations=ALL)
            seen |= set(sandbox.pids())
        assert len(seen) == 2
