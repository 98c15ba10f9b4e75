"""`make fuzz`: a million frames, random and mutated, against the protocol without a socket.

RUNS says how many, SEED which ones; a failure prints both, the frame, and the smallest frame found that fails alike.
Ctrl-C ends it with what was seen so far.
"""

import argparse
import random
import sys
from collections import Counter
from contextlib import suppress
from time import monotonic

from tests.fuzz.making import Case, case
from tests.fuzz.promises import Broken, hold

REDUCING_TRIES_MAX = 20_000
SHOWN_CHARS_MAX = 2_000


def main() -> int:
    """Run the cases; answers the exit status."""
    parser = argparse.ArgumentParser(prog="make fuzz", description="Fuzz the socket protocol.")
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=None, help="the same seed gives the same frames")
    parser.add_argument("--first", type=int, default=0, help="the number of the first frame")
    asked = parser.parse_args()
    seed = random.SystemRandom().getrandbits(32) if asked.seed is None else asked.seed
    print(f"seed {seed}, {asked.runs} frames", flush=True)
    seen: Counter[str] = Counter()
    started = monotonic()
    with suppress(KeyboardInterrupt):
        for number in range(asked.first, asked.first + asked.runs):
            made = case(seed, number)
            try:
                seen[hold(made)] += 1
            except Broken as broken:
                report(seed, number, made, broken)
                return 1
            if number % 1_000 == 0:
                show_progress(seen.total(), asked.runs, monotonic() - started)
    seconds = monotonic() - started
    print(f"\r{seen.total()} frames in {seconds:.0f} s, {seen.total() / seconds:.0f} a second, no promise broken:")
    for outcome, count in seen.most_common():
        print(f"  {outcome:20} {count:>9} {count / seen.total():7.2%}")
    return 0


def show_progress(done: int, runs: int, seconds: float) -> None:
    """Rewrite the line that says how far it is; where nobody watches, a line now and then."""
    if sys.stderr.isatty():
        print(
            f"\r{done} of {runs}, {seconds / done * (runs - done):.0f} s left    ", end="", file=sys.stderr, flush=True
        )
    elif done % 100_000 == 1:
        print(f"{done} of {runs}, {seconds:.0f} s", file=sys.stderr, flush=True)


def report(seed: int, number: int, made: Case, broken: Broken) -> None:
    """Say what broke, and how to see it again."""
    smallest = reduced(made, broken)
    print(f"\nBroken: {': '.join(map(str, broken.args))}")
    print(f"Frame {number} of seed {seed}: {made.text[:SHOWN_CHARS_MAX]!r}")
    print(f"Reduced to {len(smallest)} characters: {smallest[:SHOWN_CHARS_MAX]!r}")
    print(f"Again: .venv/bin/python -m tests.fuzz --seed {seed} --first {number} --runs 1")


def reduced(made: Case, broken: Broken) -> str:
    """Return the smallest text found that breaks the same promise: chunks are left out, ever smaller ones."""
    text, size, tries = made.text, max(1, len(made.text) // 2), 0
    while tries < REDUCING_TRIES_MAX:
        at, before = 0, len(text)
        while at < len(text) and tries < REDUCING_TRIES_MAX:
            tries += 1
            shorter = text[:at] + text[at + size :]
            if _breaks(shorter, broken):
                text = shorter
            else:
                at += size
        if size == 1 and len(text) == before:
            break
        size = max(1, size // 2)
    return text


def _breaks(text: str, broken: Broken) -> bool:
    try:
        hold(Case(text, is_good=False))
    except Broken as other:
        return bool(other.args[0] == broken.args[0])
    return False


if __name__ == "__main__":
    sys.exit(main())
