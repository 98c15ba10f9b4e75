"""How the interpreter is set up before a process begins: which modules to leave out, how often to collect garbage."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def leaving_out(name: str) -> Iterator[None]:
    """Make an optional module seem not installed to everything that is imported in the block."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # an import then raises ModuleNotFoundError
    try:
        yield
    finally:
        del sys.modules[name]


def spare_the_collector() -> None:
    """Have Python look for reference cycles less often: batches make many objects and no cycles (a third of a rebuild's
    time)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
