"""`make simulate`: any number of seeds; a failing one is printed, and `SEED=` runs it again alone."""

import argparse
import logging
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import structlog

from tests.simulation.world import live_through


def hush() -> None:
    """What simulated processes log of their troubles is no news."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=1, help="the first one (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="how many run side by side (default: %(default)s)")
    asked = parser.parse_args()
    seeds = range(asked.first, asked.first + asked.seeds)
    started, failed = time.monotonic(), 0
    with ProcessPoolExecutor(asked.processes, initializer=hush) as pool:
        for i, (seed, (faults, _)) in enumerate(zip(seeds, pool.map(live_through, seeds, chunksize=8), strict=True), 1):
            if faults:
                failed += 1
                print(f"seed {seed} failed: make simulate SEED={seed}", *faults, sep="\n  ", flush=True)
            if i % 100 == 0 or i == len(seeds):
                pace = i / (time.monotonic() - started)
                print(
                    f"{i:,} of {len(seeds):,} seeds, {failed} failed, {pace:.1f} a second", file=sys.stderr, flush=True
                )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
