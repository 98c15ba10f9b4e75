"""Topics are for ever: a line of every topic and version that was ever written stays decodable, and no event changes unseen."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from domain.events import Event
from domain.topics import STREAM_OF, TOPICS, kind_of, read_written, upcast, written_as
from tests.domain import fingerprints

GOLDEN = Path(__file__).parent / "golden" / "topics.jsonl"
LINES: list[dict[str, Any]] = [json.loads(line) for line in GOLDEN.read_text().splitlines()]


def event_of(line: dict[str, Any]) -> Event:
    """Return the event of a golden line, whose topic is as it stands on the record: with its version, if that is not the first."""
    kind = kind_of(line["topic"])
    assert kind is not None
    event: Event = msgspec.convert(upcast(kind, line["topic"], dict(line["data"])), kind)
    return event


@pytest.mark.parametrize("line", LINES, ids=lambda line: line["topic"])
def test_what_was_written_is_still_read(line: dict[str, Any]) -> None:
    event = event_of(line)
    if written_as(type(event)) == line["topic"]:
        decoded = msgspec.json.decode(msgspec.json.encode(event))
        assert {name: decoded[name] for name in line["data"]} == line["data"]


def test_every_topic_has_a_golden_line() -> None:
    every = {(topic, version) for topic, kind in TOPICS.items() for version in range(1, kind.topic_version + 1)}
    assert {read_written(line["topic"]) for line in LINES} == every
    assert set(TOPICS) == set(STREAM_OF)
    assert [topic for topic, kind in TOPICS.items() if [*kind.upcasts] != [*range(1, kind.topic_version)]] == []


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_no_event_changes_without_a_new_version(topic: str) -> None:
    known, kind = fingerprints.committed(), TOPICS[topic]
    faults = list(fingerprints.faults(known, topic, kind.topic_version, fingerprints.fingerprint(kind)))
    assert faults == [], faults[0]


def test_no_fingerprint_is_of_a_topic_that_was_taken_away() -> None:
    assert set(fingerprints.committed()) == set(TOPICS)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"a": "str", "b": "int"}, "thing changed (b) without a new version"),
        ({"a": "str sealed"}, "thing changed (a, b) without a new version"),
        ({"a": "str", "b": "str = x", "c": "int"}, "thing changed (c) without a new version"),
        ({"a": "str", "b": "str = x", "c": "int = 0"}, "thing has new fields (c): add a golden line"),
        ({"b": "str = x", "a": "str"}, None),
    ],
)
def test_a_change_is_refused_with_what_is_to_be_done(fields: dict[str, str], said: str | None) -> None:
    known = {"thing": {"1": {"a": "str", "b": "str = x"}}}
    faults = list(fingerprints.faults(known, "thing", 1, fields))
    assert [fault.startswith(said or "") for fault in faults] == ([] if said is None else [True])
    assert all("python -m tests.domain.fingerprints" in fault for fault in faults)
    [new] = fingerprints.faults(known, "thing", 2, fields)
    assert new.startswith("thing of version 2 is new: add a golden line")
    assert list(fingerprints.faults(known, "other", 1, fields)) != []


def test_a_fingerprint_tells_every_part_of_an_event() -> None:
    found = fingerprints.fingerprint(TOPICS["file.completed"])
    assert found["original_name"] == "str sealed" and found["pages"].endswith("= None")
    assert "size_bytes: int" in found["variants"] and "sealed = ()" in found["variants"]
    assert found["scan"] == "'basic' | 'clamav'"


def test_names_on_the_record_have_a_version() -> None:
    assert [tuple(read_written(name)) for name in ("a.b", "a.b@2", "a.b@12", "a.b@1", "a.b@02", "a.b@x", "@2")] == [
        ("a.b", 1), ("a.b", 2), ("a.b", 12), ("a.b@1", 1), ("a.b@02", 1), ("a.b@x", 1), ("", 2),
    ]  # fmt: skip
    assert kind_of("room.changed") is TOPICS["room.changed"]
    assert kind_of("room.changed@2") is None and kind_of("nothing.known") is None


def test_what_is_sealed_is_a_field_and_is_never_an_id() -> None:
    for topic, event in TOPICS.items():
        assert set(event.sealed) <= set(event.__struct_fields__), topic
        assert not [name for name in event.sealed if name.endswith("_id")], topic
        assert "sealed" not in event.__struct_fields__, topic
        assert "@" not in topic
