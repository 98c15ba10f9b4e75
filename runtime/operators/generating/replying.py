"""Replying: people talk in threads of what was said of late, follow them, and read them.

Whatever happens to a thread or to who follows it writes `("thread", root)`, so acts of one thread are decided one after the other.
"""

from msgspec import Struct

from commands.message import PostMessage
from commands.thread import FollowThread, MarkThreadRead, UnfollowThread
from domain.ids import MessageId
from runtime.operators.generating.acts import Act, act, in_room, in_some_room
from runtime.operators.generating.texts import text
from runtime.operators.generating.town import Room, Root, Town

GOES_ON = 0.75  # of replies, those to a thread that there is
SHOWN_IN_ROOM = 0.2
UNFOLLOWED = 0.15  # of what somebody does about threads, where they follow one


def reply(town: Town) -> Act | None:
    """Reply in a thread, or begin one."""
    found = in_some_room(town)
    root = None if found is None else _root(town, found[0])
    if found is None or root is None:
        return None
    room, who = found
    chance = town.chance
    names = [town.people[each].name for each in room.members[:50]]
    command = PostMessage(
        room.id, MessageId(town.uuid()), text(chance, names), "text", thread_id=root.id,
        in_room=chance.random() < SHOWN_IN_ROOM,
    )  # fmt: skip
    # Whoever the root concerns follows the thread from its first reply on, if they are members.
    concerned = [("membership", room.id, each) for each in (root.sender, *root.mentions)]
    reads = [*in_room(who, room), ("message", root.id), *concerned]
    return act(command, who.caller(), reads=reads, writes=[("message", command.message_id), ("thread", root.id)])


def attend(town: Town) -> Act | None:
    """Read a thread that one follows, follow it no longer, or follow one."""
    found = in_some_room(town)
    if found is None or not found[0].threads or found[0].is_since_joining:
        return None
    room, who = found
    followed = [each for each in room.threads if who.id in each.followers]
    unread = [each for each in followed if each.followers[who.id] < each.last]
    command: Struct
    if followed and town.chance.random() < UNFOLLOWED:
        root = town.chance.choice(followed)
        command = UnfollowThread(root.id)
    elif unread:
        root = town.chance.choice(unread)
        command = MarkThreadRead(root.id, root.last)
    else:
        root = town.chance.choice(room.threads)
        command = FollowThread(root.id)
    reads = [*in_room(who, room), ("message", root.id)]
    return act(command, who.caller(), reads=reads, writes=[("thread", root.id)])


def _root(town: Town, room: Room) -> Root | None:
    """Return whose thread somebody replies in, rather one of late; None if there is nothing to reply to."""
    if room.is_since_joining:
        return None  # it may be older than whoever replies
    if room.threads and town.chance.random() < GOES_ON:
        return room.threads[-1 - int(len(room.threads) * town.chance.random() ** 2)]
    posted = town.chance.choice(room.recent) if room.recent else None
    return None if posted is None or posted.thread_id else Root(posted.id, posted.sender, posted.mentions)
