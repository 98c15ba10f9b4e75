"""A command of the command line: the arguments it takes and what it does. Each is declared in its own module."""

import argparse
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from domain.errors import ReadableError
from runtime.settings import Settings

MISUSED = 2
EX_CONFIG = 78  # of sysexits.h: the next start would fail for the same reason; systemd: RestartPreventExitStatus=78


class MisusedError(ReadableError):
    """The arguments do not go together; the sentence says what to type."""


def takes_nothing(parser: argparse.ArgumentParser) -> None:
    """Add no arguments."""


class Command(NamedTuple):
    """`describe` adds the arguments to the command's parser; `run` returns the exit code."""

    run: Callable[[Settings, argparse.Namespace], Coroutine[Any, Any, int]]
    describe: Callable[[argparse.ArgumentParser], None] = takes_nothing
