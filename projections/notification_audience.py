"""The audience of a batch of events: the facts by which it is decided who is told of them, as they are at each position.

A handler is a function of one event, and who is told of a post is not: it depends on who is a member, what they want to be
told, and whom they have blocked. So the facts that a batch needs are read first, from the tables of the same group, which are
true up to where the batch begins; then each event of the batch changes them, or is decided by them, in its turn. The same is
done beside the served tables in a rebuild (`suffix`). So the inbox is a function of the record, however it is cut into batches.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from msgspec import Struct

from domain.block import UserBlocked, UserUnblocked
from domain.events import Event, Recorded
from domain.file import FileFailed
from domain.ids import RoomId, UserId
from domain.membership import MemberJoined, MemberLeft, MemberRemoved
from domain.message import MessagePosted
from domain.notification import NotificationSettings, NotificationSettingsChanged, settings_of
from domain.ports.database import Db
from domain.telling import Person, Post, told, words_of
from domain.text import fold
from projections.notifications import BLOCKS, MEMBERS, NOTIFICATIONS, PROJECTION, SETTINGS, decode_settings
from projections.tables import Change, Handler

# Of the rooms in $1: those in $2 whole, else who is in a direct room, watches, or is one of $3.
SELECT_MEMBERS = """
    SELECT m.room_id, m.user_id, m.is_direct FROM {members} m
    WHERE m.is_member AND m.room_id = ANY ($1::uuid[]) AND (
        m.room_id = ANY ($2::uuid[]) OR m.is_direct OR m.user_id = ANY ($3::uuid[])
        OR EXISTS (SELECT FROM {settings} s WHERE s.user_id = m.user_id AND s.watches)
    )
"""
SELECT_SETTINGS = "SELECT settings FROM {settings} WHERE user_id = ANY ($1::uuid[])"
SELECT_BLOCKS = """
    SELECT user_id, blocked_id FROM {blocks}
    WHERE blocked AND blocked_id = ANY ($1::uuid[]) AND user_id = ANY ($2::uuid[])
"""


class Member(Struct, frozen=True):
    room_id: RoomId
    user_id: UserId
    is_direct: bool


class Block(Struct, frozen=True):
    user_id: UserId
    blocked_id: UserId


class Audience:
    """The facts, moving from event to event. Its handlers are those of the whole group."""

    def __init__(
        self, members: Iterable[Member], settings: Iterable[NotificationSettings], blocks: Iterable[Block]
    ) -> None:
        self._members: dict[RoomId, dict[UserId, bool]] = {}  # in a direct room or not
        for member in members:
            self._members.setdefault(member.room_id, {})[member.user_id] = member.is_direct
        self._settings = {each.user_id: each for each in settings}
        self._blocks = {(block.user_id, block.blocked_id) for block in blocks}

    def handlers(self) -> dict[type[Event], tuple[Handler, ...]]:
        """Return the handlers of the group for this batch: what changes a fact is noted here before its row is made."""
        own: dict[type[Event], tuple[Handler, ...]] = {
            MessagePosted: (self._posted,),
            FileFailed: (self._failed,),
            MemberJoined: (self._joined,),
            MemberLeft: (self._gone,),
            MemberRemoved: (self._gone,),
            NotificationSettingsChanged: (self._settings_changed,),
            UserBlocked: (self._blocked,),
            UserUnblocked: (self._unblocked,),
        }
        rows = {kind: (handler,) for kind, handler in PROJECTION.handlers.items()}
        return {kind: (*own.get(kind, ()), *rows.get(kind, ())) for kind in {*own, *rows}}

    def _posted(self, recorded: Recorded[MessagePosted]) -> Iterable[Change]:
        e = recorded.event
        members = self._members.get(e.room_id, {})
        post = Post(e.sender_id, _words(e), frozenset(e.mentions), e.mentions_room, any(members.values()))
        people = (self._person(user_id, e.room_id, e.sender_id) for user_id in sorted(members))
        for user_id, kind in told(post, people).items():
            is_here = kind == "mention" and e.mentions_room == "here" and user_id not in post.mentions
            yield NOTIFICATIONS.new(
                user_id, recorded.position, kind=kind, room_id=e.room_id, message_id=e.message_id, file_id=None,
                actor_id=e.sender_id, at=recorded.at, is_here=is_here,
            )  # fmt: skip

    def _person(self, user_id: UserId, room_id: RoomId, sender_id: UserId) -> Person:
        settings = self._settings.get(user_id)
        has_blocked = (user_id, sender_id) in self._blocks
        if settings is None:
            return Person(user_id, has_blocked=has_blocked)
        return Person(
            user_id,
            has_blocked=has_blocked,
            level=settings.level_in(room_id),
            keywords=_folded(settings.keywords),
        )

    def _joined(self, recorded: Recorded[MemberJoined]) -> Iterable[Change]:
        e = recorded.event
        self._members.setdefault(e.room_id, {})[e.user_id] = e.is_direct
        yield MEMBERS.put(e.room_id, e.user_id, is_member=True, is_direct=e.is_direct)
        settings = self._settings.get(e.user_id)
        is_deaf = settings is not None and settings.default == "none"
        if e.by != e.user_id and not e.is_direct and not is_deaf and (e.user_id, e.by) not in self._blocks:
            yield NOTIFICATIONS.new(
                e.user_id, recorded.position, kind="invitation", room_id=e.room_id, message_id=None, file_id=None,
                actor_id=e.by, at=recorded.at, is_here=False,
            )  # fmt: skip

    def _failed(self, recorded: Recorded[FileFailed]) -> Iterable[Change]:
        e = recorded.event
        yield NOTIFICATIONS.new(
            e.uploader_id, recorded.position, kind="file", room_id=None, message_id=None, file_id=e.file_id,
            actor_id=None, at=recorded.at, is_here=False,
        )  # fmt: skip

    def _gone(self, recorded: Recorded[MemberLeft | MemberRemoved]) -> Iterable[Change]:
        self._members.get(recorded.event.room_id, {}).pop(recorded.event.user_id, None)
        return ()

    def _settings_changed(self, recorded: Recorded[NotificationSettingsChanged]) -> Iterable[Change]:
        self._settings[recorded.event.user_id] = settings_of(recorded.event)
        return ()

    def _blocked(self, recorded: Recorded[UserBlocked]) -> Iterable[Change]:
        self._blocks.add((recorded.event.user_id, recorded.event.blocked_id))
        return ()

    def _unblocked(self, recorded: Recorded[UserUnblocked]) -> Iterable[Change]:
        self._blocks.discard((recorded.event.user_id, recorded.event.blocked_id))
        return ()


async def prepare(db: Db, suffix: str, events: Sequence[Recorded[Event]]) -> Mapping[type[Event], Sequence[Handler]]:
    """Return the handlers for a batch, with the facts that it needs."""
    rooms: set[RoomId] = set()
    whole: set[RoomId] = set()
    named: set[UserId] = set()
    actors: set[UserId] = set()
    for event in (recorded.event for recorded in events):
        match event:
            case MessagePosted():
                rooms.add(event.room_id)
                actors.add(event.sender_id)
                named.update(event.mentions)
                if event.mentions_room is not None:
                    whole.add(event.room_id)
            case MemberJoined():
                named.add(event.user_id)
                actors.add(event.by)
            case NotificationSettingsChanged():
                named.add(event.user_id)
    if not rooms and not named:
        return Audience((), (), ()).handlers()
    statement = SELECT_MEMBERS.format(members=MEMBERS.name + suffix, settings=SETTINGS.name + suffix)
    members = await db.all(Member, statement, list(rooms), list(whole), list(named))
    people = list(named | {member.user_id for member in members})
    statement = SELECT_SETTINGS.format(settings=SETTINGS.name + suffix)
    settings = [decode_settings(text) for text in await db.all(str, statement, people)]
    statement = SELECT_BLOCKS.format(blocks=BLOCKS.name + suffix)
    blocks = await db.all(Block, statement, list(actors), people)
    return Audience(members, settings, blocks).handlers()


def _words(event: MessagePosted) -> str:
    return words_of(event.content)


@lru_cache(maxsize=10_000)
def _folded(keywords: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(fold, keywords))
