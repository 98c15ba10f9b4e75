"""Read models. `PROJECTIONS` is the room's table: groups that are followed together, under one checkpoint each.

The live group is what requests and frames stand on. Whatever is slower is a group of its own and gates nothing.
"""

from projections import (
    audit_index,
    files,
    members,
    mentions,
    message_html,
    messages,
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
PROJECTIONS: dict[str, Group] = {group.name: group for group in (LIVE, MESSAGE_HTML, AUDIT_INDEX)}
