"""Reports of failed tests, made while nothing is finalized.

A report parses the test's source. CPython counts the depth of the tree that it makes so in one place for the whole interpreter
(up to 3.11.7 and 3.12.1; python/cpython#106905). If garbage is collected meanwhile, and a future among it says that nobody took
its exception, the traceback in that log entry is parsed, too, for its carets; the outer count is wrong then, and "AST
constructor recursion depth mismatch" stands where the failure should. Browsers leave such futures when a test fails.
"""

import gc
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def undisturbed() -> Iterator[None]:
    """Collect what is garbage already, and nothing more until the block ends."""
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make the report of a failure undisturbed."""
    if call.excinfo is None:
        return (yield)
    with undisturbed():
        return (yield)
