"""Read models. `PROJECTIONS` is the package's table: groups that are followed together, under one checkpoint each.

Requests and frames rely on the live group. Whatever is slower is a group of its own, and nothing waits for it.
"""

from collections.abc import Collection

from projections import (
    approvals,
    audit_index,
    erasures,
    files,
    holds,
    members,
    mentions,
    message_html,
    messages,
    notification_audience,
    notifications,
    past_messages,
    past_places,
    past_rooms,
    pins,
    push,
    reactions,
    retention,
    rooms,
    sessions,
    threads,
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
        push.PROJECTION,
        approvals.PROJECTION,
        mentions.PROJECTION,
        threads.PROJECTION,
        files.PROJECTION,
        erasures.PROJECTION,
        holds.PROJECTION,
        retention.PROJECTION,
    ),
)
MESSAGE_HTML = Group("message_html", version=2, projections=(message_html.PROJECTION,))
AUDIT_INDEX = Group("audit_index", version=1, projections=(audit_index.PROJECTION,))
PAST = Group("past", version=2, projections=(past_rooms.PROJECTION, past_places.PROJECTION, past_messages.PROJECTION))
NOTIFICATIONS = Group(
    "notifications", version=2, projections=(notifications.PROJECTION,), prepare=notification_audience.prepare
)
PROJECTIONS: dict[str, Group] = {group.name: group for group in (LIVE, MESSAGE_HTML, AUDIT_INDEX, PAST, NOTIFICATIONS)}


def followed(*, time_travel: bool) -> list[str]:
    """Return the names of the groups that somebody follows."""
    return [name for name in PROJECTIONS if time_travel or name != PAST.name]


def versions(*, time_travel: bool) -> list[tuple[str, int]]:
    """Return the groups that somebody follows, each with the version of the code."""
    return [(name, PROJECTIONS[name].version) for name in followed(time_travel=time_travel)]


def with_policies(group: Group, stopping: Collection[str]) -> Group:
    """Return a group with the policy that an operator decided on."""
    return group._replace(policy="stop") if group.name in stopping else group
