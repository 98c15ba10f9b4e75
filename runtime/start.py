"""What the interpreter is told before a process begins: what to leave out, and how often to look for cycles."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def leaving_out(name: str) -> Iterator[None]:
    """Have an optional module seem not to be installed, for what is imported meanwhile."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # an import then raises ModuleNotFoundError
    try:
        yield
    finally:
        del sys.modules[name]


def spare_the_collector() -> None:
    """Have Python look for reference cycles less often: batches make many objects and no cycles (a third of a rebuild)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
