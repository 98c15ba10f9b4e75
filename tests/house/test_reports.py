"""A failed test is reported as what failed, whatever garbage it leaves."""

import ast
import gc
import os
import sys
from pathlib import Path
from subprocess import run

from tests.reports import undisturbed

ROOT = Path(__file__).parents[2]
LINES = 400
ALONE = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
# A test that fails and leaves garbage whose finalizer parses something, as the log of a future's exception does, and leaves more.
FAILING = """
import ast, gc

class Garbage:
    def __init__(self):
        self.itself = self

    def __del__(self):
        ast.parse("a.b(c)[d]")
        Garbage()

def test_it():
    Garbage()
    gc.set_threshold(50)
    assert 1 == 2, "the reason"
"""


def test_nothing_is_finalized_while_a_report_is_made() -> None:
    finalized: list[str] = []

    class Garbage:
        def __init__(self, name: str) -> None:
            self.name, self.itself = name, self

        def __del__(self) -> None:
            finalized.append(self.name)

    kept = gc.get_threshold()
    gc.set_threshold(1)
    try:
        Garbage("before")
        with undisturbed():
            assert finalized == ["before"]
            Garbage("meanwhile")
            ast.parse("\n".join(f"f({i})[{i}]" for i in range(LINES)))
            assert finalized == ["before"]
        gc.collect()
        assert finalized == ["before", "meanwhile"]
    finally:
        gc.set_threshold(*kept)


def test_a_failure_is_shown_though_a_finalizer_parses(tmp_path: Path) -> None:
    (tmp_path / "test_failing.py").write_text(FAILING + "\n".join(f"x{i} = f'{{{i}}}'" for i in range(LINES)))
    command = (sys.executable, "-m", "pytest", "-c", "/dev/null", "--rootdir", str(tmp_path), "-p", "no:cacheprovider")
    made = run(
        [*command, "-p", "tests.reports", str(tmp_path)],
        cwd=ROOT,
        env=ALONE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "AssertionError: the reason" in made.stdout and "recursion depth" not in made.stdout, made.stdout
