"""Codec: events and metas to the very bytes that stand in the record, and back.

Both are JSON objects, so that they can be read torn out of the book; a field that is null or an empty list, and has that for
its default, is not in it. What is personal stands in one member, `sealed` (a meta's
reason in another, `sealed_reason`, since it is another person's):
`{"key": <data key's id>, "box": <base64 of nonce and AES-256-GCM ciphertext of a JSON object>}`. Bound to the box
(associated data) are the stream, the topic and the event's id, so that no box can be moved to another event.

What cannot be decoded is an `UnreadableEvent`, with a meta that says nothing where that is at fault: a row that was altered
keeps nobody from reading the others. A key that is missing is another matter, and no fault of the row's.
"""

from binascii import a2b_base64, a2b_hex, b2a_base64
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from msgspec import Struct

from adapters.postgres.data_keys import KeyName, Opening, Vault
from adapters.postgres.master_key import NONCE_BYTES
from domain.events import Event, Fault, Meta, Recorded, UnknownEvent, UnreadableEvent
from domain.ids import EventId, KeyId, RoomId, StreamId
from domain.topics import kind_of, upcast, written_as

NOBODY = UUID(int=0)
META_SEALED = ("address", "agent", "correlation")
NO_META = Meta(EventId(NOBODY), "")
# A row as it was written: the sealed part is the last member of the data, the id the first of the meta. Within a text these
# quotes would be escaped, so they stand where they seem to.
SEALED, BOX, SEALED_END = b',"sealed":{"key":"', b'","box":"', b'"}}'
ID = b'{"id":"'
UUID_CHARS = 36
ID_AT, ID_END = len(ID), len(ID) + UUID_CHARS
BOX_AFTER, BOX_END = (
    len(SEALED) + UUID_CHARS + len(BOX),
    -len(SEALED_END),
)  # of where the sealed part begins, and of the data
BRACE = ord("{")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Sealed(Struct, frozen=True):
    key: KeyId
    box: str


class _Box(Struct):
    """Only the sealed members of a row's JSON, to learn which keys a page needs."""

    sealed: Sealed | None = None
    sealed_reason: Sealed | None = None


class StoredRow(Struct, frozen=True, gc=False):
    """A row of `record.events`, columns in this order."""

    position: int
    stream: StreamId
    version: int
    topic: str
    data: bytes
    meta: bytes
    room_id: UUID | None
    recorded_at: Any


class _Quick(Struct, frozen=True, gc=False):
    """A row that can be decoded the quick way: where its sealed part begins, and whose key opens it; None for what has
    nothing sealed."""

    at: int
    key: KeyId | None


class _Topic(NamedTuple):
    """A topic of today's versions: what decodes its events, and its name as boxes are bound to it."""

    decode: Callable[[bytes], Event]
    bound: bytes


class _UnreadableError(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault: Fault = fault


_box = msgspec.json.Decoder(_Box).decode
_public_meta = msgspec.json.Decoder(Meta).decode  # the sealed member is passed over
NOT_QUICK = (msgspec.MsgspecError, UnicodeDecodeError, ValueError, TypeError, RecursionError, InvalidTag, IndexError)
NOTHING_SEALED = _Quick(0, None)


def key_names(event: Event, meta: Meta, day: date) -> list[KeyName]:
    """Return the data keys that encoding this event and meta on this day needs."""
    names = [KeyName(*event.encryption_subject(), day)] if event.sealed else []
    if any(getattr(meta, field) is not None for field in META_SEALED):
        names.append(_of_actor(meta, day))
    if meta.reason is not None:
        names.append(_of_reason(event, meta, day))
    return names


def encode(
    event: Event, meta: Meta, *, stream: StreamId, day: date, keys: Mapping[KeyName, KeyId], vault: Vault
) -> tuple[bytes, bytes]:
    """Return the bytes of data and meta. `keys` are those that the vault made for `key_names`, in memory."""
    topic = written_as(type(event))
    plain, unsaid = msgspec.to_builtins(event), _nothing_by_default(type(event))
    plain = {field: value for field, value in plain.items() if field not in unsaid or value != unsaid[field]}
    if event.sealed:
        name = KeyName(*event.encryption_subject(), day)
        private = {field: plain.pop(field) for field in event.sealed if field in plain}
        plain["sealed"] = _seal(private, keys[name], _bound(stream, topic, meta.id), vault)
    public = msgspec.to_builtins(meta)
    private = {field: value for field in META_SEALED if (value := public.pop(field, None)) is not None}
    if private:
        public["sealed"] = _seal(private, keys[_of_actor(meta, day)], _bound(stream, topic, meta.id) + b"meta", vault)
    if (reason := public.pop("reason", None)) is not None:
        bound = _bound(stream, topic, meta.id) + b"reason"
        public["sealed_reason"] = _seal({"reason": reason}, keys[_of_reason(event, meta, day)], bound, vault)
    return _encode(plain), _encode(public)


def as_read_back(recorded: Recorded[Event]) -> Recorded[Event]:
    """Return an event that was appended just now as `decode_all` returns it: without what is sealed of its meta."""
    meta = recorded.meta
    public = Meta(meta.id, meta.command, meta.actor, meta.session, causation=meta.causation)
    return msgspec.structs.replace(recorded, meta=public)


async def decode_all(
    rows: Sequence[StoredRow], vault: Vault, *, whole_meta: bool = False, metas: bool = True
) -> list[Recorded[Event]]:
    """Decode rows in order, with one query for all keys. `whole_meta` opens the sealed part of metas, too; without `metas`
    those who ask need none, and get `NO_META`.

    A row as today's version is written is decoded the quick way, straight to its type. Whatever that does not take (altered,
    erased, of another version) goes the other way, which brings it to today's, or says what is wrong with it.
    """
    found = [_looked_at(row) for row in rows]
    wanted = {each.key for each in found if isinstance(each, _Quick) and each.key is not None}
    wanted |= {sealed.key for each in found if isinstance(each, dict) and (sealed := each.get("sealed"))}
    if whole_meta:
        wanted |= {key for row in rows for key in _keys_of_meta(row)}
    await vault.gather(wanted)
    meta_of = _public_meta if metas else None
    opened = vault.opening(wanted)
    return [
        (isinstance(each, _Quick) and not whole_meta and _quickly(row, each, opened, meta_of))
        or _decode_row(row, _plain(row) if isinstance(each, _Quick) else each, vault, whole_meta)
        for row, each in zip(rows, found, strict=True)
    ]


def _looked_at(row: StoredRow) -> "_Quick | dict[str, Any] | Fault":
    """Return what must be known of a row before its key is fetched."""
    if _todays(row.topic) is None:
        return {} if kind_of(row.topic) is None else _plain(row)
    data = row.data
    at = data.rfind(SEALED)
    if at < 0:
        return _plain(row) if b"sealed" in data else NOTHING_SEALED
    key_at = at + len(SEALED)
    box_at = key_at + UUID_CHARS
    if data.startswith(BOX, box_at) and data.endswith(SEALED_END):
        try:
            return _Quick(at, _key_of_bytes(data[key_at:box_at]))
        except ValueError:
            pass
    return _plain(row)


def _quickly(
    row: StoredRow, quick: _Quick, opened: Mapping[KeyId, Opening], meta_of: Callable[[bytes], Meta] | None
) -> Recorded[Event] | None:
    """Decode a row that is as it was written; None if it is not, or if its key was destroyed."""
    topic, data, meta = _todays(row.topic), row.data, row.meta
    if topic is None:
        return None
    try:
        public = NO_META if meta_of is None else meta_of(meta)
        if quick.key is not None:
            if (decrypt := opened.get(quick.key)) is None or not meta.startswith(ID):
                return None
            event_id = a2b_hex(meta[ID_AT:ID_END].replace(b"-", b""))
            box = a2b_base64(data[quick.at + BOX_AFTER : BOX_END], strict_mode=True)
            private = decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], row.stream.bytes + event_id + topic.bound)
            # Two objects become one: the sealed members stand behind the others.
            if private[0] != BRACE:
                return None
            data = data[: quick.at] + b"," + private[1:]
        return Recorded(row.position, row.stream, row.version, row.recorded_at, topic.decode(data), public)
    except NOT_QUICK:
        return None


@lru_cache(maxsize=256)
def _todays(name: str) -> _Topic | None:
    """Return what decodes events under this name; None if it is unknown, or not how they are written today."""
    kind = kind_of(name)
    if kind is None or written_as(kind) != name:
        return None
    return _Topic(msgspec.json.Decoder(kind).decode, name.encode())


def _plain(row: StoredRow) -> dict[str, Any] | Fault:
    """Return the members of a row's JSON, `sealed` as a `Sealed`; else what is wrong with them."""
    try:
        plain = _decode(row.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "not JSON"
    if not isinstance(plain, dict):
        return "of another shape"
    if (sealed := plain.get("sealed")) is not None:
        try:
            plain["sealed"] = Sealed(_key(sealed["key"]), sealed["box"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return "of another shape"
    return plain


@lru_cache(maxsize=65_536)
def _key_of_bytes(text: bytes) -> KeyId:
    return _key(text.decode())


@lru_cache(maxsize=65_536)
def _key(text: str) -> KeyId:
    """Return the id of a key; `ValueError` where there can be no such key."""
    return KeyId(str(UUID(text)))


def sealing_key(row: StoredRow) -> KeyId | None:
    """Return the data key that what is personal in an event's data is sealed under, destroyed or not; None: nothing is."""
    try:
        sealed = _box(row.data).sealed
        return None if sealed is None else _key(sealed.key)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _keys_of_meta(row: StoredRow) -> list[KeyId]:
    try:
        box = _box(row.meta)
        return [_key(sealed.key) for sealed in (box.sealed, box.sealed_reason) if sealed]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return []


def _decode_row(row: StoredRow, plain: dict[str, Any] | Fault, vault: Vault, whole_meta: bool) -> Recorded[Event]:
    meta, erased = NO_META, False
    try:
        meta = _whole_meta(row, vault) if whole_meta else _meta(row.meta)
        event, erased = _event(row, plain, meta, vault)
    except _UnreadableError as error:
        event = UnreadableEvent(row.topic, _room(row), error.fault)
    return Recorded(row.position, row.stream, row.version, row.recorded_at, event, meta, erased)


def _event(row: StoredRow, plain: dict[str, Any] | Fault, meta: Meta, vault: Vault) -> tuple[Event, bool]:
    """Return the event, and whether what is sealed of it is erased. Raise `_Unreadable`."""
    if not isinstance(plain, dict):
        raise _UnreadableError(plain)
    kind = kind_of(row.topic)
    if kind is None:
        return UnknownEvent(row.topic, _room(row)), False
    erased = False
    if sealed := plain.pop("sealed", None):
        private = _open(sealed, _bound(row.stream, row.topic, meta.id), vault)
        erased = private is None
        plain |= private or {}
    try:
        if kind.topic_version > 1:
            plain = upcast(kind, row.topic, plain)
        if erased:
            plain |= _blanks(kind)
        return msgspec.convert(plain, kind), erased
    except (msgspec.ValidationError, RecursionError, LookupError, TypeError, ValueError):
        raise _UnreadableError("of another shape") from None


def _room(row: StoredRow) -> RoomId | None:
    return None if row.room_id is None else RoomId(row.room_id)


def _meta(meta: bytes) -> Meta:
    try:
        return _public_meta(meta)
    except msgspec.ValidationError:
        raise _UnreadableError("of another shape") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _UnreadableError("not JSON") from None


@lru_cache(maxsize=256)
def _nothing_by_default(kind: type[Event]) -> dict[str, Any]:
    """Return the fields that are null or empty lists where a row does not say them, with that: it need not say that they are."""
    defaults = {field.name: field.default for field in msgspec.structs.fields(kind)}
    return {name: msgspec.to_builtins(default) for name, default in defaults.items() if default in (None, ())}


@lru_cache(maxsize=256)
def _blanks(kind: type[Event]) -> dict[str, Any]:
    """Return the values of sealed fields whose key was destroyed: the field's default, else an empty text."""
    defaults = {field.name: field.default for field in msgspec.structs.fields(kind) if not field.required}
    return {name: defaults.get(name, "") for name in kind.sealed}


def _whole_meta(row: StoredRow, vault: Vault) -> Meta:
    """Return a meta with its sealed parts. Raise `_Unreadable`."""
    meta = _meta(row.meta)
    plain, bound = msgspec.to_builtins(meta), _bound(row.stream, row.topic, meta.id)
    try:
        box = _box(row.meta)
        if box.sealed:  # of releases before: the reason too, and no correlation
            plain |= _open(box.sealed, bound + b"meta", vault) or {}
        if box.sealed_reason:
            plain |= _open(box.sealed_reason, bound + b"reason", vault) or {}
        return msgspec.convert(plain, Meta)
    except msgspec.ValidationError:
        raise _UnreadableError("of another shape") from None


def _seal(private: dict[str, Any], key_id: KeyId, bound: bytes, vault: Vault) -> Sealed:
    return Sealed(key_id, b2a_base64(vault.seal(key_id, _encode(private), bound), newline=False).decode())


def _open(sealed: Sealed, bound: bytes, vault: Vault) -> dict[str, Any] | None:
    """Return what a box holds; None if its key was destroyed. Raise `_Unreadable`."""
    try:
        plain = vault.open(sealed.key, a2b_base64(sealed.box), bound)
        found = None if plain is None else _decode(plain)
    except (InvalidTag, ValueError, TypeError):
        raise _UnreadableError("not what was sealed") from None
    if found is not None and not isinstance(found, dict):
        raise _UnreadableError("of another shape")
    return found


def _of_actor(meta: Meta, day: date) -> KeyName:
    return KeyName(meta.actor or NOBODY, None, day)


def _of_reason(event: Event, meta: Meta, day: date) -> KeyName:
    return KeyName(event.about() or meta.actor or NOBODY, None, day)


def _bound(stream: UUID, topic: str, event_id: UUID) -> bytes:
    return stream.bytes + event_id.bytes + topic.encode()
