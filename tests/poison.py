"""Poison: events of the record that cannot be read, or that no table can take. Made as somebody with all rights over the
database would make them; what the processes themselves write is bounded and whole."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import asyncpg

SELECT = "SELECT data, meta FROM record.events WHERE position = $1"
UPDATE = "UPDATE record.events SET data = $2, meta = $3 WHERE position = $1"
Json = dict[str, Any]
Change = Callable[[Json], object]


def _with(**fields: Any) -> Change:
    return lambda json: json.update(fields)


def _box(change: Callable[[str], Any]) -> Change:
    return lambda json: json["sealed"].update(box=change(json["sealed"]["box"]))


def _key(value: Any) -> Change:
    return lambda json: json["sealed"].update(key=value)


# Ways to spoil the data of an event with a sealed part: bytes, or a change of its JSON.
SPOILT: dict[str, bytes | Change] = {
    "no JSON": b"{",
    "nothing": b"",
    "no text": b"\xff\xfe{}",
    "depths": b'{"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "a list": b"[1]",
    "a number": b"7",
    "no field": b"{}",
    "a field of another kind": _with(message_id=7),
    "an id that is none": _with(message_id="here"),
    "a word that is not known": _with(message_type="fax"),
    "a box of another event": _box(lambda box: "AAAA" + box[4:]),
    "half a box": _box(lambda box: box[:20]),
    "no box": _box(lambda box: ""),
    "a box that is no base64": _box(lambda box: "ü" + box),
    "a box that is no text": _box(lambda box: 7),
    "a key that is none": _key("the key"),
    "a key that is no text": _key({"key": 1}),
    "sealed by a word": _with(sealed="sealed"),
}
SPOILT_METAS: dict[str, bytes | Change] = {
    "no JSON": b"{",
    "a list": b"[1]",
    "no command": b"{}",
    "an actor that is none": _with(actor="ada"),
    "an id of another event": _with(id=str(UUID(int=7))),
}


async def spoil(
    database_url: str, position: int, *, data: bytes | Change | None = None, meta: bytes | Change | None = None
) -> None:
    """Alter a row of the record."""
    connection = await asyncpg.connect(database_url)
    try:
        found = await connection.fetchrow(SELECT, position)
        await connection.execute("ALTER TABLE record.events DISABLE TRIGGER append_only")
        await connection.execute(UPDATE, position, _changed(found["data"], data), _changed(found["meta"], meta))
        await connection.execute("ALTER TABLE record.events ENABLE TRIGGER append_only")
    finally:
        await connection.close()


def _changed(kept: bytes, change: bytes | Change | None) -> bytes:
    if change is None:
        return kept
    if isinstance(change, bytes):
        return change
    plain = json.loads(kept)
    change(plain)
    return json.dumps(plain).encode()
