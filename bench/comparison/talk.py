"""Talk: what is said and heard in one run of a scenario, by how many and how late, and a journal for who checks it.

Each text begins with a mark: who says it, their how manieth it is, and when. A third of the texts has ordinary markup.
Delays are from a sender's write to each listener's read, in this one process.
"""

import re
import time
from array import array
from typing import NamedTuple, Protocol

MARK = re.compile(rb"\(([0-9]+)\.([0-9]+)\.([0-9]+)\)")
TEXTS = (
    "The quick brown fox jumps over the lazy dog, and then it says so to everybody who wants to hear of it.",
    "The *quick* brown `fox` jumps over the **lazy** dog: see https://example.com/fox and say so to everybody.",
    "Nobody expected the dog to answer, but it did, at some length, and the fox took notes for the next time.",
)


class Line(Protocol):
    """One socket of one person in one room."""

    def say(self, text: str) -> None: ...
    def close(self) -> None: ...


class Noted(NamedTuple):
    """Something in the journal: who said (`is_said`) or heard what."""

    line: int
    payload: bytes
    is_said: bool


class Talk:
    """Counts everything while `is_measured`, and keeps what kept lines heard and everybody said, in order."""

    def __init__(self) -> None:
        self.is_going = False
        self.is_measured = False
        self.lines: list[Line] = []
        self.journal: list[Noted] = []
        self.delays = array("q")
        self.acknowledgements = array("q")
        self.delivered = self.accepted = self.said = 0
        self.delivered_measured = 0
        self._next = 0

    def say(self, line: int) -> None:
        """Have a line say something."""
        self._next += 1
        self.said += 1
        text = f"({line}.{self._next}.{time.perf_counter_ns()}) {TEXTS[self._next % len(TEXTS)]}"
        self.journal.append(Noted(line, text.encode(), True))
        self.lines[line].say(text)

    def hear(self, line: int, payload: bytes, *, is_kept: bool) -> int | None:
        """Take a message that a line was sent; return who says it. None where it is no marked message."""
        mark = MARK.search(payload)
        if mark is None:
            return None
        self.delivered += 1
        if self.is_measured:
            self.delivered_measured += 1
            self.delays.append(time.perf_counter_ns() - int(mark[3]))
        if is_kept:
            self.journal.append(Noted(line, payload, False))
        return int(mark[1])

    def note(self, line: int, payload: bytes) -> None:
        """Put something else that a line was sent into the journal."""
        self.journal.append(Noted(line, payload, False))

    def acknowledge(self, line: int, delay: int) -> None:
        """Note that something is accepted, `delay` nanoseconds after it was said; say the next thing."""
        self.accepted += 1
        if self.is_measured:
            self.acknowledgements.append(delay)
        if self.is_going:
            self.say(line)


def percentile(delays: "array[int]", share: float) -> float:
    """Return a percentile in milliseconds; 0 of nothing."""
    ordered = sorted(delays)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1e6 if ordered else 0.0
