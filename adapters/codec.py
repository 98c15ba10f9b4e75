"""Codec: events and metas to the very bytes that stand in the record, and back.

Both are JSON objects, so that they can be read torn out of the book. What is personal stands in one member, `sealed` (a meta's
reason in another, `sealed_reason`, since it is another person's):
`{"key": <data key's id>, "box": <base64 of nonce and AES-256-GCM ciphertext of a JSON object>}`. Bound to the box
(associated data) are the stream, the topic and the event's id, so that no box can be moved to another event.
"""

from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Struct

from adapters.vault import KeyName, Vault
from domain.facts import Event, Meta, Recorded, UnknownEvent
from domain.ids import KeyId, StreamId
from domain.topics import TOPICS

NOBODY = UUID(int=0)
META_SEALED = ("address", "agent", "correlation")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Sealed(Struct, frozen=True):
    key: KeyId
    box: str


class _Box(Struct):
    """Only the sealed member of a row's JSON, to learn which keys a page needs."""

    sealed: Sealed | None = None
    sealed_reason: Sealed | None = None


class StoredRow(NamedTuple):
    """A row of `record.events`, columns in this order."""

    position: int
    stream: StreamId
    version: int
    topic: str
    data: bytes
    meta: bytes
    room_id: UUID | None
    recorded_at: Any


_box = msgspec.json.Decoder(_Box).decode
_public_meta = msgspec.json.Decoder(Meta).decode  # the sealed member is passed over


def key_names(event: Event, meta: Meta, day: date) -> list[KeyName]:
    """Return the data keys that encoding this event and meta on this day needs."""
    names = [KeyName(*event.key_subject(), day)] if event.sealed else []
    if any(getattr(meta, field) is not None for field in META_SEALED):
        names.append(_of_actor(meta, day))
    if meta.reason is not None:
        names.append(_of_reason(event, meta, day))
    return names


def encode(
    event: Event, meta: Meta, *, stream: StreamId, day: date, keys: Mapping[KeyName, KeyId], vault: Vault
) -> tuple[bytes, bytes]:
    """Return the bytes of data and meta; `keys` are those that the vault made of `key_names`, and has at hand."""
    plain = msgspec.to_builtins(event)
    if event.sealed:
        name = KeyName(*event.key_subject(), day)
        private = {field: plain.pop(field) for field in event.sealed}
        plain["sealed"] = _seal(private, keys[name], _bound(stream, event.topic, meta.id), vault)
    public = msgspec.to_builtins(meta)
    private = {field: value for field in META_SEALED if (value := public.pop(field, None)) is not None}
    if private:
        public["sealed"] = _seal(
            private, keys[_of_actor(meta, day)], _bound(stream, event.topic, meta.id) + b"meta", vault
        )
    if (reason := public.pop("reason", None)) is not None:
        bound = _bound(stream, event.topic, meta.id) + b"reason"
        public["sealed_reason"] = _seal({"reason": reason}, keys[_of_reason(event, meta, day)], bound, vault)
    return _encode(plain), _encode(public)


async def decode_all(rows: Sequence[StoredRow], vault: Vault, *, whole_meta: bool = False) -> list[Recorded[Event]]:
    """Decode rows in order; asks the vault once for all keys. `whole_meta` opens the sealed part of metas too."""
    plains: list[dict[str, Any]] = [_decode(row.data) if row.topic in TOPICS else {} for row in rows]
    wanted = {sealed["key"] for plain in plains if (sealed := plain.get("sealed"))}
    if whole_meta:
        metas = [_box(row.meta) for row in rows]
        wanted |= {box.key for meta in metas for box in (meta.sealed, meta.sealed_reason) if box}
    await vault.gather(wanted)
    return [_decode_row(row, plain, vault, whole_meta) for row, plain in zip(rows, plains, strict=True)]


def _decode_row(row: StoredRow, plain: dict[str, Any], vault: Vault, whole_meta: bool) -> Recorded[Event]:
    meta = _whole_meta(row, vault) if whole_meta else _public_meta(row.meta)
    kind = TOPICS.get(row.topic)
    if kind is None:
        unknown = UnknownEvent(row.topic, row.room_id)  # type: ignore[arg-type]
        return Recorded(row.position, row.stream, row.version, row.recorded_at, unknown, meta)
    erased = False
    if sealed := plain.pop("sealed", None):
        private = _open(sealed, _bound(row.stream, row.topic, meta.id), vault)
        erased = private is None
        plain |= _blanks(kind) if private is None else private
    event = msgspec.convert(plain, kind)
    return Recorded(row.position, row.stream, row.version, row.recorded_at, event, meta, erased)


@lru_cache(maxsize=256)
def _blanks(kind: type[Event]) -> dict[str, Any]:
    """Return what is left of sealed fields when their key is destroyed: the field's default, else an empty text."""
    defaults = {field.name: field.default for field in msgspec.structs.fields(kind) if not field.required}
    return {name: defaults.get(name, "") for name in kind.sealed}


def _whole_meta(row: StoredRow, vault: Vault) -> Meta:
    public = _decode(row.meta)
    bound = _bound(row.stream, row.topic, UUID(public["id"]))
    if sealed := public.pop("sealed", None):  # of releases before: the reason too, and no correlation
        public |= _open(sealed, bound + b"meta", vault) or {}
    if sealed := public.pop("sealed_reason", None):
        public |= _open(sealed, bound + b"reason", vault) or {}
    return msgspec.convert(public, Meta)


def _seal(private: dict[str, Any], key_id: KeyId, bound: bytes, vault: Vault) -> Sealed:
    return Sealed(key_id, b2a_base64(vault.seal(key_id, _encode(private), bound), newline=False).decode())


def _open(sealed: dict[str, Any], bound: bytes, vault: Vault) -> dict[str, Any] | None:
    plain = vault.open(sealed["key"], a2b_base64(sealed["box"]), bound)
    return None if plain is None else _decode(plain)


def _of_actor(meta: Meta, day: date) -> KeyName:
    return KeyName(meta.actor or NOBODY, None, day)


def _of_reason(event: Event, meta: Meta, day: date) -> KeyName:
    return KeyName(event.about() or meta.actor or NOBODY, None, day)


def _bound(stream: UUID, topic: str, event_id: UUID) -> bytes:
    return stream.bytes + event_id.bytes + topic.encode()
