"""A small share of `make fuzz`: fixed seeds, and what the fuzzer itself promises."""

from collections import Counter

import pytest

from gateway.protocol import parsing
from gateway.protocol.client_frames import ClientFrame
from gateway.protocol.parsing import BadFrameError
from tests.fuzz.__main__ import reduced
from tests.fuzz.making import FILLERS, SHAPES, Case, case, large
from tests.fuzz.promises import CODES, Broken, hold
from tests.lines import INTENTS

RUNS = 4_000


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_comes_in_no_promise_is_broken(seed: int) -> None:
    seen = Counter(hold(case(seed, number)) for number in range(RUNS))
    # And it gets everywhere: every intent and every code was met, none of them once only.
    assert seen.keys() == CODES | {kind.__name__ for kind in INTENTS.values()}
    assert min(seen.values()) > 20


@pytest.mark.parametrize("shape", SHAPES)
def test_no_frame_of_128_kib_costs_more_than_it_should(shape: str) -> None:
    for filler in FILLERS:
        hold(large(filler, shape))


def test_a_case_can_be_made_again_by_itself() -> None:
    assert [case(7, number) for number in range(50)] == [case(7, number) for number in range(50)]
    assert case(7, 1) != case(8, 1)


def test_what_breaks_is_found_and_reduced(monkeypatch: pytest.MonkeyPatch) -> None:
    parse = parsing.parse

    def forgetful(text: str) -> ClientFrame:
        if "rooms" in text:
            raise KeyError("rooms")
        return parse(text)

    monkeypatch.setattr(parsing, "parse", forgetful)
    with pytest.raises(Broken, match="nothing but BadFrameError") as found:
        for number in range(RUNS):
            made = case(1, number)
            hold(made)
    assert reduced(made, found.value) == "rooms"


def test_a_good_frame_that_is_refused_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def strict(text: str) -> ClientFrame:
        raise BadFrameError(None, "field.invalid", "No.")

    monkeypatch.setattr(parsing, "parse", strict)
    with pytest.raises(Broken, match="a good frame is taken"):
        hold(Case('{"type":"ping"}', is_good=True))
