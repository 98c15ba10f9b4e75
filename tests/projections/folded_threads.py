"""What a client makes of the frames that tell of threads: the root's `thread`, as it is where messages are read."""

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]
NO_THREAD: Json = {
    "reply_count": 0,
    "last_reply_at": None,
    "participants": [],
    "participant_count": 0,
    "following": False,
}


def after_frame(thread: Json | None, event: str, data: Json) -> Json:
    """Return a root's thread after a frame of the room or of one's own feed."""
    before = NO_THREAD if thread is None else thread
    match event:
        case "thread.replied" | "thread.reply_deleted":
            of_all: Json = data["thread"]
            return before | of_all
        case "thread.followed":
            return before | {"following": True, "read_position": data["since"]}
        case "thread.read":
            return before | {"read_position": data["position"]}
        case "thread.unfollowed":
            return {name: value for name, value in before.items() if name in NO_THREAD} | {"following": False}
    raise AssertionError(f"{event} is a frame of a thread that no client here folds")


def marked(thread: Json | None) -> Json:
    """Return a root's thread without what is unread of it. If no reply is left, only whoever follows is sure to be shown one."""
    return {name: value for name, value in (thread or NO_THREAD).items() if name != "unread"}


def counted(root: Json, me: str, messages: Iterable[Json]) -> Json:
    """Return a root's thread with what is unread of it, if its replies are among these messages."""
    thread = marked(root.get("thread"))
    if not thread["following"]:
        return thread
    replies = [each for each in messages if each.get("thread_id") == root["id"] and not each["deleted"]]
    others = [each["position"] for each in replies if each["sender_id"] != me]
    return thread | {"unread": sum(position > thread["read_position"] for position in others)}
