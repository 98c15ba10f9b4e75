"""What forwarded entries say: each event there is, as syslog, CEF and OCSF, held to those by readers that are not ours."""

import json
import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import jsonschema
import msgspec
import pytest
from msgspec.structs import replace
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from adapters.forwarding import ocsf, syslog
from adapters.forwarding.formats import Source, cef_of, json_of, ocsf_of
from adapters.postgres.audit import AuditEntry, without_texts
from domain.ids import RecordId
from domain.topics import STREAM_OF, TOPICS
from tests.domain.test_bounds import golden
from tests.forwarding.receivers import read

RECORD = RecordId(UUID(int=1))
SOURCE = Source(RECORD, "1.2.3")
AT = datetime(2026, 11, 27, 12, 0, 0, 5, UTC)
LEAF = "q1Zz9y3l0b0y8kq0m2qk4iQmJYw7Yx6S8d2q0o1n5mY="
EXTENSION = re.compile(r"(?:^|(?<= ))(?P<key>[A-Za-z0-9]+)=(?P<value>(?:[^=\\]|\\.)*?)(?= [A-Za-z0-9]+=|$)")


Validators = dict[int, jsonschema.Draft202012Validator]


def entry_of(event: Any, position: int, **more: Any) -> AuditEntry:
    entry = AuditEntry(
        position, event.topic, STREAM_OF[event.topic].id(UUID(int=9)), 1, AT, event.frame_room(), UUID(int=2), "DoIt",
        UUID(int=3), UUID(int=4), "192.0.2.7", "curl/8 (a|b=c)", "request-1", None, "because a=b | c\\d", msgspec.to_builtins(event),
        None, False, LEAF,
    )  # fmt: skip
    return replace(entry, **more)


ENTRIES = [entry_of(event, i) for i, event in enumerate(golden(), 1)]
BARE = replace(
    ENTRIES[0], actor=None, session=None, address=None, agent=None, correlation=None, reason=None, data={}, room_id=None
)


@pytest.fixture(scope="module")
def schemas() -> Validators:
    """Validators of the classes that are used, from the schema's own text."""
    made = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=ocsf.VERSION))
    found = {}
    for uid in (ocsf.ACCOUNT_CHANGE, ocsf.AUTHENTICATION, ocsf.ENTITY_MANAGEMENT):
        schema = made.get_class_schema(class_name=made.lookup_class_name_from_uid(class_uid=uid))
        found[uid] = jsonschema.Draft202012Validator(schema)
    return found


def test_every_event_is_one_of_ocsf(schemas: Validators) -> None:
    assert {entry.type for entry in ENTRIES} == set(TOPICS)
    seen = set()
    for entry in (*ENTRIES, BARE, *map(without_texts, ENTRIES)):
        made = json.loads(ocsf_of(entry, SOURCE))
        faults = [error.message[:200] for error in schemas[made["class_uid"]].iter_errors(made)]
        assert not faults, (entry.type, faults)
        assert (
            made["metadata"]["sequence"] == entry.position and made["metadata"]["uid"] == f"{RECORD}/{entry.position}"
        )
        integrity = made["unmapped"]["record_integrity"]
        assert (integrity["uid"], integrity["fingerprint"]["value"]) == (str(entry.position), LEAF)
        assert made["type_uid"] == made["class_uid"] * 100 + made["activity_id"]
        seen.add(made["class_uid"])
    assert seen == set(schemas)


def test_what_ocsf_does_not_know_is_refused_by_its_schema(schemas: Validators) -> None:
    """The validator is one: it finds what is planted."""
    made = json.loads(ocsf_of(ENTRIES[0], SOURCE))
    validator = schemas[made["class_uid"]]
    faults: list[dict[str, Any]] = [{"time": "today"}, {"activity_id": 77}, {"hansard": 1}, {"metadata": {}}]
    for planted in faults:
        assert list(validator.iter_errors({**made, **planted})), planted


@pytest.mark.parametrize("entry", [*ENTRIES, BARE], ids=lambda entry: f"{entry.position}-{entry.type}")
def test_every_event_is_a_line_of_cef(entry: AuditEntry) -> None:
    line = cef_of(entry, SOURCE).decode()
    assert "\n" not in line and "\r" not in line
    parts = re.split(r"(?<!\\)\|", line, maxsplit=7)
    assert parts[:5] == ["CEF:0", "Hansard", "Hansard", "1.2.3", entry.type]
    assert len(parts) == 8 and 0 <= int(parts[6]) <= 10
    found = {one["key"]: re.sub(r"\\(.)", r"\1", one["value"]) for one in EXTENSION.finditer(parts[7])}
    assert (found["externalId"], found["cs2"], found["cs2Label"]) == (str(entry.position), LEAF, "leafHash")
    assert found["rt"] == "1795780800000"
    if entry is not BARE:
        assert found["reason"] == entry.reason and found["src"] == "192.0.2.7"
        assert found["requestClientApplication"] == entry.agent
        assert json.loads(found["cs5"]) == json.loads(msgspec.json.encode(entry.data))


def test_an_address_is_said_by_the_key_that_takes_it() -> None:
    assert b"c6a2=2001:db8::1 c6a2Label=" in cef_of(replace(BARE, address="2001:db8::1"), SOURCE)
    assert b" src=192.0.2.7" in cef_of(replace(BARE, address="192.0.2.7"), SOURCE)
    assert b" shost=nowhere" in cef_of(replace(BARE, address="nowhere"), SOURCE)


@pytest.mark.parametrize("written", [json_of, cef_of, ocsf_of])
def test_every_event_is_a_message_of_syslog(written: Any) -> None:
    for entry in (*ENTRIES, BARE, replace(BARE, reason="späť"), replace(BARE, type="x" * 40 + " ]")):
        said = written(entry, SOURCE)
        message = read(syslog.message(entry, SOURCE, said, host="ho st.example"))
        assert (message.priority // 8, message.at, message.host) == (13, AT, "ho_st.example")
        assert message.id == entry.type.replace(" ", "_")[:32]
        given = message.data["hansard@32473"]
        assert (given["position"], given["record"], given["leaf"]) == (str(entry.position), str(RECORD), LEAF)
        assert message.said == said
    quoted = Source(RECORD, 'a"b\\c]d')
    assert read(syslog.message(BARE, quoted, b"x", host="h")).data["origin"]["swVersion"] == quoted.version


def test_without_texts_nothing_is_said_of_what_is_sealed() -> None:
    for event, entry in zip(golden(), ENTRIES, strict=True):
        shown = without_texts(replace(entry, before=dict(entry.data)))
        assert not set(event.sealed) & (set(shown.data) | set(shown.before or {}))
        assert shown.reason == entry.reason and shown.address == entry.address
    assert without_texts(replace(ENTRIES[0], type="of.later")).data == {}
