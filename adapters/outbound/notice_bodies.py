"""What leaves the house of a notice: ids, and what may be shown of it. The same for push and webhooks."""

from bisect import bisect_left

import msgspec
from msgspec.structs import replace

from domain.ports.channels import Notice

CUT = "…"


def body_of(notice: Notice, *, bytes_max: int) -> bytes:
    """Return a notice as JSON of at most so many bytes: what does not fit of its text is cut off, then names are left out."""
    body = _encoded(notice)
    if len(body) <= bytes_max:
        return body
    text = notice.text or ""
    over = bisect_left(
        range(1, len(text)), True, key=lambda n: len(_encoded(replace(notice, text=text[:n] + CUT))) > bytes_max
    )
    body = _encoded(replace(notice, text=text[:over] + CUT if over else None))
    return body if len(body) <= bytes_max else _encoded(replace(notice, text=None, room_name=None, actor_name=None))


def _encoded(notice: Notice) -> bytes:
    """Return the fields under the names of the inbox; what is not said is not in it."""
    fields = {
        "type": "notification",
        "user_id": notice.account_id,
        "kind": notice.kind,
        "position": notice.position,
        "count": notice.count,
        "at": notice.at,
        "room_id": notice.room_id,
        "message_id": notice.message_id,
        "thread_id": notice.thread_id,
        "actor_id": notice.actor_id,
        "room_name": notice.room_name,
        "actor_name": notice.actor_name,
        "text": notice.text,
    }
    return msgspec.json.encode({name: value for name, value in fields.items() if value is not None})
