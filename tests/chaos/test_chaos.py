"""A short round of chaos: every kind of kill once, and then no promise was broken. The trials are `make chaos`'s alone."""

from pathlib import Path

from tests.chaos.__main__ import table
from tests.chaos.deployment import deployment
from tests.chaos.rounds import People, Round

SEED = 20


async def test_every_kind_of_kill_loses_doubles_skips_and_reorders_nothing(tmp_path: Path) -> None:
    """`make chaos` does the same for as long as wanted; a seed that failed there goes here."""
    async with deployment(tmp_path) as made:
        outcome = await Round(made, People(made), str(SEED)).run(seconds=None)
    said = table(outcome, SEED)
    assert outcome.is_good, said
    assert outcome.complaints == {}, said
    assert outcome.figures["acknowledged"] > 100, said
    assert outcome.figures["events observed"] > 1_000, said
    assert {"gateway", "projector", "worker", "postgres", "valkey", "valkey emptied"} <= outcome.kinds.keys()
