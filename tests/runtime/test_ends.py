"""How a process ends: its loops do, also those that did not hear it the first time."""

import ast
import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.loops import background


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
