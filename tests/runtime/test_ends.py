"""How a process ends: its loops do, also those that did not hear it the first time."""

import ast
import asyncio
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from gateway.realtime.background_tasks import run_together
from runtime.loops import background, stop_when_one_ends


async def test_a_loop_whose_cancellation_was_swallowed_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `asyncio.wait_for` swallows it when what it waits for ends at the same moment."""
    monkeypatch.setattr("runtime.loops.CANCEL_AGAIN_SECONDS", 0.05)
    swallowed = 0

    async def hard_of_hearing() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed > 2:
                    raise

    async with asyncio.timeout(20):
        async with background(asyncio.create_task(hard_of_hearing())):
            await asyncio.sleep(0)
    assert swallowed == 3


async def for_ever() -> None:
    await asyncio.Event().wait()


async def waits_for_what_was_cancelled() -> None:
    """Nobody told this one to end: what it waits for was cancelled, and so it ends as if it had been told."""
    gone = asyncio.get_running_loop().create_future()
    gone.cancel()
    await gone


async def returns() -> None:
    """Fail at nothing, and yet go on no more."""


async def fails() -> None:
    raise KeyError


@pytest.mark.parametrize("way", [waits_for_what_was_cancelled, returns, fails])
async def test_a_loop_that_ends_by_itself_ends_the_process_whichever_way(
    way: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    """One that was not noticed would leave a process that answers, and does a part of its work no more."""
    stop = asyncio.Event()
    loops = [asyncio.ensure_future(way()), asyncio.ensure_future(for_ever())]
    failed = stop_when_one_ends(stop, *loops)
    async with asyncio.timeout(20), background(*loops):
        await stop.wait()
    assert len(failed) == 1


async def test_a_loop_that_is_told_to_end_has_not_failed() -> None:
    loops = [asyncio.ensure_future(for_ever())]
    failed = stop_when_one_ends(asyncio.Event(), *loops)
    async with asyncio.timeout(20), background(*loops):
        await asyncio.sleep(0)
    assert failed == []


@pytest.mark.parametrize("way", [waits_for_what_was_cancelled, returns, fails])
async def test_a_hub_ends_with_the_first_of_its_loops_whichever_way(
    way: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    hub = asyncio.ensure_future(run_together(for_ever(), way()))
    async with asyncio.timeout(20):
        await asyncio.wait([hub])
    assert hub.done()


# A process whose loop does not end, however often it is told to.
DEAF = """
import asyncio
from runtime import loops

loops.CANCEL_AGAIN_SECONDS = 0.02

async def deaf():
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

async def run():
    async with loops.background(asyncio.create_task(deaf(), name="the deaf one")):
        await asyncio.sleep(0)

asyncio.run(run())
"""


def test_a_process_whose_loop_never_ends_is_gone_all_the_same() -> None:
    """A supervisor waits for its end, and starts it again only then."""
    done = subprocess.run([sys.executable, "-c", DEAF], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "a loop does not end" in done.stdout and "the deaf one" in done.stdout


# `hansard projector` or `migrate`, failing with this.
FAILING = """
import sys
from domain.errors import ReadableError, SetupError
from runtime import cli
from runtime.command import Command
from runtime.operators import migrating
from runtime.processes import projector

async def fail(settings, asked):
    raise {error}("The sentence.")

projector.COMMAND = migrating.MIGRATE = Command(fail)
sys.exit(cli.run(["{command}"]))
"""


@pytest.mark.parametrize(
    ("error", "command", "code"),
    [
        ("SetupError", "projector", 78),
        ("ReadableError", "projector", 1),
        ("SetupError", "migrate", 1),
        ("ValueError", "migrate", 1),
    ],
)
def test_what_a_person_can_read_is_said_in_a_sentence_and_the_exit_code_says_whether_it_lasts(
    error: str, command: str, code: int
) -> None:
    script = FAILING.format(error=error, command=command)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    assert (done.stderr == "hansard: The sentence.\n") == (error != "ValueError")
    assert ("Traceback" in done.stderr) == (error == "ValueError")


def test_every_error_of_the_processes_is_one_that_can_be_read() -> None:
    """A list of them, kept beside the command line, had to be thought of with each new one."""
    folder = Path(__file__).parents[2] / "runtime"
    classes = [
        node
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    ]
    bases = {node.name: {ast.unparse(base) for base in node.bases} for node in classes}
    assert [name for name, of in bases.items() if of & {"Exception", "RuntimeError", "ValueError"}] == []
    assert {name for name, of in bases.items() if of & {"ReadableError", "SetupError"}} > {
        "SettingRefusedError",
        "NotRunningError",
    }
