"""Read models. `PROJECTIONS` is the package's table: groups that are followed together, under one checkpoint each.

Requests and frames rely on the live group. Whatever is slower is a group of its own, and nothing waits for it.
"""

from projections import (
    audit_index,
    files,
    members,
    mentions,
    message_html,
    messages,
    past_messages,
    past_rooms,
    pins,
    reactions,
    rooms,
    sessions,
    users,
)
from projections.tables import Group

LIVE = Group(
    "live",
    version=3,
    projections=(
        users.PROJECTION,
        sessions.PROJECTION,
        rooms.PROJECTION,
        members.PROJECTION,
        messages.PROJECTION,
        reactions.PROJECTION,
        pins.PROJECTION,
        mentions.PROJECTION,
        files.PROJECTION,
    ),
)
MESSAGE_HTML = Group("message_html", version=2, projections=(message_html.PROJECTION,))
AUDIT_INDEX = Group("audit_index", version=1, projections=(audit_index.PROJECTION,))
PAST = Group("past", version=1, projections=(past_rooms.PROJECTION, past_messages.PROJECTION))
PROJECTIONS: dict[str, Group] = {group.name: group for group in (LIVE, MESSAGE_HTML, AUDIT_INDEX, PAST)}


def followed(*, time_travel: bool) -> list[str]:
    """Return the names of the groups that somebody follows."""
    return [name for name in PROJECTIONS if time_travel or name != PAST.name]
