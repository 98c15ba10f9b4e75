"""`python -m tests.chaos`: rounds of chaos for as long as wanted, and a table in the end. Ctrl-C ends the round early.

Exit code 0: every promise was kept. 1: one was broken; the evidence and the seed are printed.
"""

import argparse
import asyncio
import random
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.chaos.checker import KINDS
from tests.chaos.deployment import PROCESSES, deployment
from tests.chaos.rounds import Outcome, People, Round

ROUND_SECONDS = 60.0
PROGRESS_SECONDS = 5.0
EVIDENCE_MAX = 5


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(arguments)
    with ExitStack() as stack:
        folder = asked.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hansard-chaos-")))
        pauses = (asked.pause / 10, asked.pause)
        return asyncio.run(_run(folder, asked.seconds, asked.seed, asked.round_seconds, pauses))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Kill everything, and lose nothing.")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long to harm (default 600)")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="what all chance comes from")
    parser.add_argument("--round-seconds", type=float, default=ROUND_SECONDS, help="harm between two checks")
    parser.add_argument("--pause", type=float, default=2.0, help="the longest pause between two harms, in seconds")
    parser.add_argument(
        "--folder", type=Path, help="an empty folder for data and logs, which stay (default: none stay)"
    )
    return parser


async def _run(
    folder: Path, seconds: float, seed: int, round_seconds: float, pause_seconds: tuple[float, float]
) -> int:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    print(f"Chaos for {seconds:.0f} s, seed {seed}.", flush=True)
    total, harmed = Outcome(), 0.0
    async with deployment(folder) as made:
        people = People(made)
        while harmed < seconds and total.is_good and not stopped.is_set():
            lasts = min(round_seconds, seconds - harmed)
            this = Round(made, people, f"{seed}/{len(total.seeds)}")
            showing = asyncio.create_task(_show(this, total, harmed))
            try:
                total.add(await this.run(stopped, seconds=lasts, pause_seconds=pause_seconds))
            finally:
                showing.cancel()
            harmed += lasts
        if not total.is_good:
            for name in PROCESSES:
                print(f"--- the end of {name}.log ---\n{_tail(made.log_of(name))}")
    print(table(total, seed))
    return 0 if total.is_good else 1


async def _show(this: Round, total: Outcome, harmed: float) -> None:
    """Print a line now and then."""
    began = asyncio.get_running_loop().time()
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        elapsed = harmed + asyncio.get_running_loop().time() - began
        figures = total.figures + this.log.figures
        print(
            f"{elapsed:6.0f} s  round {this.seed}  {(total.kinds + this.kinds).total()} harms  "
            f"{figures['acknowledged']} acknowledged  {figures['events observed']} events observed",
            flush=True,
        )


def table(outcome: Outcome, seed: int) -> str:
    """Return figures, harms by kind and findings, and the evidence of the first few."""
    lines = [f"seed {seed}, {len(outcome.seeds)} rounds", ""]
    lines += [f"  {count:>9}  {name}" for name, count in sorted(outcome.figures.items())]
    lines += ["", "harms"] + [f"  {count:>9}  {name}" for name, count in sorted(outcome.kinds.items())]
    if outcome.healed_seconds:
        longest = max(outcome.healed_seconds)
        lines += ["", f"  everybody had everything after {longest:.1f} s at most, once everything ran"]
    if outcome.complaints:
        lines += ["", "answers that should not be"]
        lines += [f"  {count:>9}  {name}" for name, count in sorted(outcome.complaints.items())]
    if outcome.ends:
        lines += ["", f"{len(outcome.ends)} processes ended by themselves (and were started again):"]
        for end in {(end.name, end.said.strip().rpartition(chr(10))[2]): end for end in outcome.ends}.values():
            lines.append(f"  {end.name}: exit code {end.code}: {end.said.strip().rpartition(chr(10))[2][:300]}")
    lines += ["", "broken promises"]
    for kind in KINDS:
        lines.append(f"  {sum(finding.kind == kind for finding in outcome.findings):>9}  {kind}")
    lines.append(f"  {len(outcome.rebuilds_unequal):>9}  rebuild differs")
    lines.append(f"  {len(outcome.not_healed):>9}  not healed")
    lines.append(f"  {len(outcome.trials_broken):>9}  broken in a trial")
    for finding in outcome.findings[:EVIDENCE_MAX]:
        lines += ["", f"{finding.kind}: {finding.sentence}", *(f"  {entry}" for entry in finding.evidence)]
    lines += ["", *outcome.rebuilds_unequal, *outcome.not_healed, *outcome.trials_broken]
    return "\n".join(lines)


def _tail(file: Path, lines: int = 30) -> str:
    return "\n".join(file.read_text(errors="replace").splitlines()[-lines:]) if file.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
