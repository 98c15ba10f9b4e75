"""What every call of a client says, and how what it names stands in an address."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict, TypeVar
from uuid import UUID

from hansard_client.chat import Id
from hansard_client.models import Member, Message, Notification, Reactor, Room, RoomChange, Task, User, Version

PAGE_ITEMS = 100

Said = TypeVar("Said", User, Room, Member, Message, Version, Reactor, RoomChange, Notification, Task)
Moment = int | datetime  # a position, or a time with its offset


class Asked(TypedDict, total=False):
    """What a call may say beside its route.

    `body` is its JSON, `file` the name and content of a form's file, `after` a position that the answer must be at or
    beyond. `version` becomes If-Match, `reason` Hansard-Reason, `key` the Idempotency-Key of a POST, which else is made
    up. `span` are the first and last byte of a part. An answer may be silent for `seconds`. What `is_public` needs no session.
    """

    body: Mapping[str, Any] | None
    file: tuple[str, bytes | Path] | None
    query: Mapping[str, str | int | bool | None] | None
    after: int | None
    version: int | None
    reason: str | None
    key: str | None
    is_public: bool
    span: tuple[int, int] | None
    seconds: float


def moment_of(moment: Moment | None) -> str | int | None:
    """Return a position or time as it stands in a query."""
    return moment.isoformat() if isinstance(moment, datetime) else moment


def path_of(name: Id) -> str:
    """Return an id as it stands in an address. Raises ValueError for what is none, which could be another address."""
    return str(UUID(str(name)))
