"""Fingerprints: what the fields of every event were, by topic and version, so that none changes unseen.

`golden/fingerprints.json` is committed. Run this module (`python -m tests.domain.fingerprints`) after adding an event, a field
with a default, or a version; it refuses to write anything else down.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from domain.events import Event
from domain.topics import TOPICS

FILE = Path(__file__).parent / "golden" / "fingerprints.json"
Fingerprints = dict[str, dict[str, dict[str, str]]]  # by topic, version and field


def fingerprint(kind: type[Event]) -> dict[str, str]:
    """Return what each field of an event is: its type, whether it is sealed, and its default if it has one."""
    fields = inspect.type_info(kind).fields  # type: ignore[attr-defined]
    return {field.name: " ".join(_said(field, sealed=field.name in kind.sealed)) for field in fields}


def today() -> dict[str, dict[str, str]]:
    return {topic: fingerprint(kind) for topic, kind in TOPICS.items()}


def committed() -> Fingerprints:
    return dict(json.loads(FILE.read_text())) if FILE.exists() else {}


def faults(known: Fingerprints, topic: str, version: int, fields: dict[str, str]) -> Iterator[str]:
    """Say what is wrong with a topic whose fields are these today."""
    versions = known.get(topic, {})
    if (before := versions.get(str(version))) is None:
        yield f"{topic} of version {version} is new: add a golden line, and run python -m tests.domain.fingerprints."
        return
    if lost := [str(each) for each in range(1, version) if str(each) not in versions]:
        yield f"{topic} has lost its fingerprints of version {', '.join(lost)}: put them back."
    changed = sorted(name for name in before if fields.get(name) != before[name])
    required = sorted(name for name in fields.keys() - before.keys() if "=" not in fields[name])
    if changed or required:
        yield (
            f"{topic} changed ({', '.join(changed + required)}) without a new version, and what is on the record would not be read "
            f"any more: raise its topic_version to {version + 1}, have upcasts[{version}] make the new members of the old, "
            "add a golden line of the new version, and run python -m tests.domain.fingerprints."
        )
    elif added := sorted(fields.keys() - before.keys()):
        yield (
            f"{topic} has new fields ({', '.join(added)}): add a golden line that has them, and run "
            "python -m tests.domain.fingerprints."
        )


def write() -> int:
    """Write down what is new; return 1 if something may not be written down."""
    known, refused = committed(), 0
    for topic, fields in today().items():
        version = TOPICS[topic].topic_version
        for fault in faults(known, topic, version, fields):
            if "without a new version" in fault or "has lost" in fault:
                print(fault)
                refused = 1
                break
        else:
            known.setdefault(topic, {})[str(version)] = fields
    FILE.write_text(json.dumps(known, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    return refused


def _said(field: Any, *, sealed: bool) -> Iterator[str]:
    yield _type(field.type)
    if sealed:
        yield "sealed"
    if not field.required:
        yield f"= {field.default if field.default is not msgspec.NODEFAULT else '…'}"


def _type(about: Any) -> str:
    """Return a type as text: of structs their fields, of unions and lists what they hold, and bounds where there are any."""
    match about:
        case inspect.StructType():
            inner = (f"{field.name}: {' '.join(_said(field, sealed=False))}" for field in about.fields)
            return "{" + ", ".join(inner) + "}"
        case inspect.UnionType():
            return " | ".join(sorted(_type(each) for each in about.types))
        case inspect.VarTupleType() | inspect.ListType():
            return f"[{_type(about.item_type)}]"
        case inspect.LiteralType():
            return " | ".join(sorted(repr(value) for value in about.values))
        case inspect.CustomType():
            return about.cls.__name__
    bounds = [
        f"{name} {value}" for name in ("ge", "le", "gt", "lt") if (value := getattr(about, name, None)) is not None
    ]
    return " ".join([type(about).__name__.removesuffix("Type").lower(), *bounds])


if __name__ == "__main__":
    sys.exit(write())
