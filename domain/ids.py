"""Ids: a type for each kind, and how they are made.

The server makes UUIDv7 (RFC 9562 5.7), so that new rows land at the end of their indexes. A stream's id is a UUIDv5 of its
kind and key: whatever id a client chooses, it cannot hit the stream of something else.
"""

from functools import lru_cache
from typing import NewType
from uuid import UUID, uuid5

UserId = NewType("UserId", UUID)
SessionId = NewType("SessionId", UUID)
RoomId = NewType("RoomId", UUID)
MessageId = NewType("MessageId", UUID)
FileId = NewType("FileId", UUID)
EmailTokenId = NewType("EmailTokenId", UUID)
SubscriptionId = NewType("SubscriptionId", UUID)
ApprovalId = NewType("ApprovalId", UUID)
EventId = NewType("EventId", UUID)
StreamId = NewType("StreamId", UUID)
KeyId = NewType("KeyId", str)  # a UUID as text: looked up so often that hashing a UUID would cost too much
RecordId = NewType("RecordId", UUID)
Position = NewType("Position", int)

STREAMS = UUID("6a1f3d0e-9c52-5f0b-8f43-2f9a3b1c7d10")
SYSTEM_MESSAGES = UUID("0b7c2a54-5d1e-5a8e-9a57-e2d6f4c81b33")


def uuid7(unix_ms: int, chance: bytes) -> UUID:
    """Return the UUIDv7 of a time in milliseconds since 1970 and ten bytes of chance (RFC 9562 5.7)."""
    assert len(chance) == 10, "ten bytes of chance make a UUIDv7"
    value = (unix_ms & 0xFFFF_FFFF_FFFF) << 80 | int.from_bytes(chance, "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


def stream_id(kind: str, *key: UUID) -> StreamId:
    """Return the id of the stream of this kind and key; a membership's key is (room, user)."""
    return _stream_id(kind, *[each.int for each in key])


@lru_cache(maxsize=65_536)
def _stream_id(kind: str, *key: int) -> StreamId:
    """Ids are remembered by numbers: a UUID is hashed by the interpreter, which costs more than all the rest of a look-up."""
    return StreamId(uuid5(STREAMS, "/".join((kind, *(str(UUID(int=each)) for each in key)))))


def system_message_id(position: int) -> MessageId:
    """Return the id of the system message that is derived from the event at this position."""
    return MessageId(uuid5(SYSTEM_MESSAGES, str(position)))
