"""How the interpreter is set up before a process begins: which modules to leave out, how often to collect garbage, what memory
is given back."""

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

# What others load because it is installed, to draw or read what we never do: structlog colours with rich; Litestar knows
# models of attrs (which blobs on S3 bring) and pydantic, and documents in YAML; structlog knows greenlets.
UNUSED = ("rich", "attr", "attrs", "pydantic", "greenlet")
UNLIKELY = (
    "yaml",
    "pyrage",
    "pysequoia",
)  # loaded without asking, or for few exports: when something of them is first used


@contextmanager
def leaving_out(*names: str) -> Iterator[None]:
    """Make optional modules seem not installed to everything that is imported in the block."""
    absent = [name for name in names if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]  # an import then raises ModuleNotFoundError
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def load_late(*names: str) -> None:
    """Have modules loaded when something of them is first used, instead of when they are imported as a whole."""
    for name in names:
        if name not in sys.modules:
            sys.modules[name] = _late(name)


def _late(name: str) -> ModuleType:
    module = ModuleType(name)

    def used(attribute: str) -> object:
        if attribute.startswith("__"):
            raise AttributeError(attribute)  # asked by the import itself
        if sys.modules.get(name) is module:
            del sys.modules[name]
        return getattr(import_module(name), attribute)

    module.__getattr__ = used  # type: ignore[method-assign]
    return module


def spare_the_collector() -> None:
    """Have Python look for reference cycles less often: batches make many objects and no cycles (a third of a rebuild's
    time)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def give_back_memory() -> None:
    """Give back what loading modules left free: 13 MB of a projector where their bytecode is not kept and each is compiled."""
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:  # of glibc
        trim(0)
