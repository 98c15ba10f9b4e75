"""Talking: what people do all day. They write, reply in threads, read, react, come into rooms, log in, and show files.

`TALK` says how often each happens.
"""

from msgspec import Struct

from commands.membership import JoinRoom
from commands.message import DeleteMessage, EditMessage, PostMessage
from commands.notification import MarkNotificationsRead
from commands.pin import PinMessage, UnpinMessage
from commands.reaction import AddReaction, RemoveReaction
from commands.reading import MarkRead
from commands.session import EndSession, OpenSession, RefreshSession
from domain.ids import MessageId, SessionId
from runtime.operators.generating.acts import EXPIRY, Act, Key, Make, act, in_room, in_some_room, moderator, some_hash
from runtime.operators.generating.replying import attend, reply
from runtime.operators.generating.texts import EMOJIS, text
from runtime.operators.generating.town import Person, Posted, Room, Town
from runtime.operators.generating.uploading import post_file, scan, upload

ANSWERED = 0.1  # of messages, those that answer another one
REPLY_DELETED = 0.3  # of what is deleted, replies in threads, if there are some of late
TAKEN_BACK = 0.1  # of what somebody does about reactions, where they gave some of late
TAKEN_DOWN = 0.5
PINNED_MAX = 50  # of a room


def post(town: Town) -> Act | None:
    found = in_some_room(town)
    if found is None:
        return None
    room, who = found
    chance = town.chance
    answered = chance.choice(room.recent).id if room.recent and chance.random() < ANSWERED else None
    if room.is_since_joining:
        answered = None  # it may be older than whoever answers
    names = [town.people[each].name for each in room.members[:50]]
    command = PostMessage(room.id, MessageId(town.uuid()), text(chance, names), "text", None, answered)
    return act(command, who.caller(), reads=in_room(who, room), writes=[("message", command.message_id)])


def edit(town: Town) -> Act | None:
    found = _own(town)
    if found is None:
        return None
    who, room, posted = found
    command = EditMessage(posted.id, text(town.chance))
    return act(command, who.caller(), reads=in_room(who, room), writes=[("message", posted.id)])


def delete(town: Town) -> Act | None:
    found = _own(town, reply=town.chance.random() < REPLY_DELETED)
    if found is None:
        return None
    who, room, posted = found
    writes: list[Key] = [("message", posted.id), ("pins", room.id), ("reactions", posted.id)]
    if posted.thread_id is not None:
        writes.append(("thread", posted.thread_id))
    return act(DeleteMessage(posted.id), who.caller(), reads=in_room(who, room), writes=writes)


def mark(town: Town) -> Act | None:
    found = in_some_room(town)
    if found is None:
        return None
    room, who = found
    if who.read.get(room.id, 0) >= room.last:
        return None
    writes = [("reading", room.id, who.id)]
    return act(MarkRead(room.id, room.last), who.caller(), reads=in_room(who, room), writes=writes)


def mark_inbox(town: Town) -> Act | None:
    """Read everything that one was told of up to the last message of a room."""
    found = in_some_room(town)
    if found is None:
        return None
    room, who = found
    return act(MarkNotificationsRead(room.last), who.caller(), reads=[("account", who.id)], writes=[("inbox", who.id)])


def react(town: Town) -> Act | None:
    """Give an emoji, or take one back."""
    found = in_some_room(town)
    if found is None or not found[0].recent or found[0].is_since_joining:
        return None
    room, who = found
    posted = town.chance.choice(room.recent)
    command: Struct = AddReaction(posted.id, _emoji(town))
    given = [(each, emoji) for each in room.recent for user_id, emoji in each.given if user_id == who.id]
    if given and town.chance.random() < TAKEN_BACK:
        posted, emoji = town.chance.choice(given)
        command = RemoveReaction(posted.id, emoji)
    reads = [*in_room(who, room), ("message", posted.id)]
    return act(command, who.caller(), reads=reads, writes=[("reactions", posted.id)])


def pin(town: Town) -> Act | None:
    """Pin a message, or take one down."""
    room = town.some_room()
    by = moderator(town, room)
    if by is None or not room.recent or room.is_since_joining:
        return None
    if room.pinned and (len(room.pinned) >= PINNED_MAX or town.chance.random() < TAKEN_DOWN):
        pinned = room.pinned[0]
        command: Struct = UnpinMessage(pinned)
    else:
        pinned = town.chance.choice(room.recent).id
        command = PinMessage(pinned)
    reads = [*in_room(by, room), ("message", pinned)]
    return act(command, by.caller(), reads=reads, writes=[("pins", room.id)])


def join(town: Town) -> Act | None:
    room, who = town.some_room(), town.somebody()
    if room.is_private or room.is_archived or who.id in room.roles or not who.is_active:
        return None
    reads = [("room", room.id), ("account", who.id)]
    return act(JoinRoom(room.id), who.caller(), reads=reads, writes=[("membership", room.id, who.id)])


def log_in(town: Town) -> Act | None:
    """Open a session, refresh it, or end it."""
    who = town.somebody()
    if not who.is_active:
        return None
    writes: list[Key] = [("sessions", who.id)]
    if not who.sessions or town.chance.random() < 0.4:
        session_id = SessionId(town.uuid())
        command: Struct = OpenSession(session_id, who.id, some_hash(town), EXPIRY)
        return act(command, who.caller(), reads=[("account", who.id)], writes=[*writes, ("session", session_id)])
    session_id = who.sessions[0]
    if town.chance.random() < 0.7:
        command = RefreshSession(session_id, town.tokens[session_id], some_hash(town))
    else:
        command = EndSession(session_id, "logout")
    return act(command, who.caller(), reads=[("account", who.id)], writes=[*writes, ("session", session_id)])


def _own(town: Town, *, reply: bool = False) -> tuple[Person, Room, Posted] | None:
    """Return somebody's own message of late; a reply in a thread, if it is to be one and there is one."""
    room = town.some_room()
    if room.is_archived or not room.recent:
        return None
    replies = [each for each in room.recent if each.thread_id] if reply else []
    posted = town.chance.choice(replies or room.recent)
    who = town.people[posted.sender]
    return (who, room, posted) if who.id in room.roles and who.is_active and not room.is_since_joining else None


def _emoji(town: Town) -> str:
    return EMOJIS[int(len(EMOJIS) * town.chance.random() ** 3)]


# Of about a thousand acts.
TALK: tuple[tuple[Make, int], ...] = (
    (post, 575),
    (reply, 70),
    (attend, 40),
    (mark, 100),
    (mark_inbox, 10),
    (react, 90),
    (edit, 35),
    (delete, 12),
    (join, 20),
    (log_in, 20),
    (upload, 9),
    (scan, 18),
    (post_file, 9),
    (pin, 12),
)
