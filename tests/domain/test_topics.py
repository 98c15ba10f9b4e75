"""Topics are for ever: a line of every topic that was ever written stays decodable, to the very event it was."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from domain.topics import STREAM_OF, TOPICS

GOLDEN = Path(__file__).parent / "golden" / "topics.jsonl"
LINES: list[dict[str, Any]] = [json.loads(line) for line in GOLDEN.read_text().splitlines()]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line["topic"])
def test_what_was_written_is_still_read(line: dict[str, Any]) -> None:
    event = msgspec.convert(line["data"], TOPICS[line["topic"]])
    decoded = msgspec.json.decode(msgspec.json.encode(event))
    assert {name: decoded[name] for name in line["data"]} == line["data"]


def test_every_topic_has_a_golden_line() -> None:
    assert {line["topic"] for line in LINES} == set(TOPICS) == set(STREAM_OF)


def test_what_is_sealed_is_a_field_and_is_never_an_id() -> None:
    for topic, event in TOPICS.items():
        assert set(event.sealed) <= set(event.__struct_fields__), topic
        assert not [name for name in event.sealed if name.endswith("_id")], topic
        assert "sealed" not in event.__struct_fields__, topic
