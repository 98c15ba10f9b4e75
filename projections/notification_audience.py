"""The audience of a batch of events: the facts by which it is decided who is told of them, as they are at each position.

A handler is a function of one event, and who is told of a post is not: it depends on who is a member, what they want to be
told, and whom they have blocked. So the facts that a batch needs are read first, from the tables of the same group, which are
true up to where the batch begins; then each event of the batch changes them, or is decided by them, in its turn. The same is
done beside the served tables in a rebuild (`suffix`). So the inbox is a function of the record, however it is cut into batches.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from msgspec import Struct

from domain.account import AccountErased
from domain.block import UserBlocked, UserUnblocked
from domain.events import Event, Recorded
from domain.file import FileFailed
from domain.ids import MessageId, RoomId, UserId
from domain.membership import MemberJoined, MemberLeft, MemberRemoved
from domain.message import MessagePosted
from domain.notification import NotificationSettings, NotificationSettingsChanged, settings_of
from domain.ports.database import Db
from domain.telling import Person, Post, told, words_of
from domain.text import fold
from domain.thread import ThreadFollowed, ThreadUnfollowed
from projections.notifications import (
    BLOCKS,
    MEMBERS,
    NOTIFICATIONS,
    PROJECTION,
    SETTINGS,
    THREADS,
    decode_settings,
    watches,
)
from projections.tables import Change, Handler, Handlers

# Of the rooms in $1: those in $2 whole, else who is in a direct room, watches, is one of $3 or follows a thread of $4.
SELECT_MEMBERS = """
    SELECT m.room_id, m.user_id, m.is_direct FROM {members} m
    WHERE m.is_member AND m.room_id = ANY ($1::uuid[]) AND (
        m.room_id = ANY ($2::uuid[]) OR m.is_direct OR m.user_id = ANY ($3::uuid[])
        OR EXISTS (SELECT FROM {settings} s WHERE s.user_id = m.user_id AND s.watches)
        OR EXISTS (SELECT FROM {threads} t WHERE t.thread_id = ANY ($4::uuid[]) AND t.user_id = m.user_id AND t.follows)
    )
"""
SELECT_SETTINGS = "SELECT settings FROM {settings} WHERE user_id = ANY ($1::uuid[])"
SELECT_FOLLOWERS = "SELECT thread_id, user_id, follows FROM {threads} WHERE thread_id = ANY ($1::uuid[])"
# Who wrote the roots of threads: their author follows them, and the event that says so comes only after the first reply. The text
# of an event is searched and not parsed, so that no altered one stops those behind it.
SELECT_AUTHORS = """
    SELECT e.position AS root_position, substring(
        encode(e.data, 'escape') FROM '"sender_id":"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"'
    )::uuid AS user_id
    FROM record.events e WHERE e.position = ANY ($1::bigint[])
"""
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


class Follower(Struct, frozen=True):
    """Somebody who follows a thread, or does not any more."""

    thread_id: MessageId
    user_id: UserId
    follows: bool


class Author(Struct, frozen=True):
    root_position: int
    user_id: UserId | None


class Audience:
    """The facts, moving from event to event. Its handlers are those of the whole group."""

    def __init__(
        self,
        members: Iterable[Member] = (),
        settings: Iterable[NotificationSettings] = (),
        blocks: Iterable[Block] = (),
        followers: Iterable[Follower] = (),
        authors: Iterable[Author] = (),
    ) -> None:
        self._members: dict[RoomId, dict[UserId, bool]] = {}  # in a direct room or not
        for member in members:
            self._members.setdefault(member.room_id, {})[member.user_id] = member.is_direct
        self._settings = {each.user_id: each for each in settings}
        self._watching = {user_id for user_id, each in self._settings.items() if watches(each)}
        self._blocks = {(block.user_id, block.blocked_id) for block in blocks}
        self._follows = {(follower.thread_id, follower.user_id): follower.follows for follower in followers}
        self._authors = {author.root_position: author.user_id for author in authors}

    def handlers(self) -> dict[type[Event], tuple[Handler, ...]]:
        """Return the handlers of the group for this batch: what changes a fact is noted here before its row is made."""
        own: dict[type[Event], tuple[Handler, ...]] = {
            MessagePosted: (self._posted,),
            FileFailed: (self._failed,),
            MemberJoined: (self._joined,),
            MemberLeft: (self._gone,),
            MemberRemoved: (self._gone,),
            NotificationSettingsChanged: (self._settings_changed,),
            ThreadFollowed: (self._followed,),
            ThreadUnfollowed: (self._unfollowed,),
            UserBlocked: (self._blocked,),
            UserUnblocked: (self._unblocked,),
            AccountErased: (self._erased,),
        }
        rows = {kind: (handler,) for kind, handler in PROJECTION.handlers.items()}
        return {kind: (*own.get(kind, ()), *rows.get(kind, ())) for kind in {*own, *rows}}

    def _posted(self, recorded: Recorded[MessagePosted]) -> Iterable[Change]:
        e = recorded.event
        members, in_room = self._members.get(e.room_id, {}), e.thread_id is None or bool(e.in_room)
        is_direct = any(members.values())
        people = [self._person(user_id, e) for user_id in self._eligible(e, members, is_direct=is_direct)]
        words = words_of(e.content) if any(person.keywords for person in people) else ""
        post = Post(e.sender_id, words, frozenset(e.mentions), e.mentions_room, is_direct, in_room)
        for user_id, kind in told(post, people).items():
            is_here = kind == "mention" and e.mentions_room == "here" and user_id not in post.mentions
            yield NOTIFICATIONS.new(
                user_id, recorded.position, kind=kind, room_id=e.room_id, message_id=e.message_id, file_id=None,
                actor_id=e.sender_id, at=recorded.at, is_here=is_here, thread_id=e.thread_id,
                root_position=e.root_position, in_room=in_room,
            )  # fmt: skip

    def _eligible(self, e: MessagePosted, members: Mapping[UserId, bool], *, is_direct: bool) -> list[UserId]:
        """Return which members a post may be told to at all. Most posts name nobody, and hardly anybody watches."""
        if is_direct or e.mentions_room is not None or e.thread_id is not None:
            return sorted(members)
        return sorted(members.keys() & (self._watching.union(e.mentions) if e.mentions else self._watching))

    def _person(self, user_id: UserId, e: MessagePosted) -> Person:
        settings = self._settings.get(user_id) or NotificationSettings(user_id)
        return Person(
            user_id,
            has_blocked=(user_id, e.sender_id) in self._blocks,
            level=settings.level_in(e.room_id),
            keywords=_folded(settings.keywords),
            follows=self._is_following(user_id, e),
        )

    def _is_following(self, user_id: UserId, e: MessagePosted) -> bool:
        if e.thread_id is None or e.root_position is None:
            return False
        return self._follows.get((e.thread_id, user_id), self._authors.get(e.root_position) == user_id)

    def _joined(self, recorded: Recorded[MemberJoined]) -> Iterable[Change]:
        e = recorded.event
        self._members.setdefault(e.room_id, {})[e.user_id] = e.is_direct
        yield MEMBERS.put(e.room_id, e.user_id, is_member=True, is_direct=e.is_direct)
        settings = self._settings.get(e.user_id)
        is_deaf = settings is not None and settings.default == "none"
        if e.by != e.user_id and not e.is_direct and not is_deaf and (e.user_id, e.by) not in self._blocks:
            yield NOTIFICATIONS.new(
                e.user_id, recorded.position, kind="invitation", room_id=e.room_id, message_id=None, file_id=None,
                actor_id=e.by, at=recorded.at, is_here=False, thread_id=None, root_position=None, in_room=True,
            )  # fmt: skip

    def _failed(self, recorded: Recorded[FileFailed]) -> Iterable[Change]:
        e = recorded.event
        yield NOTIFICATIONS.new(
            e.uploader_id, recorded.position, kind="file", room_id=None, message_id=None, file_id=e.file_id,
            actor_id=None, at=recorded.at, is_here=False, thread_id=None, root_position=None, in_room=True,
        )  # fmt: skip

    def _gone(self, recorded: Recorded[MemberLeft | MemberRemoved]) -> Iterable[Change]:
        self._members.get(recorded.event.room_id, {}).pop(recorded.event.user_id, None)
        return ()

    def _settings_changed(self, recorded: Recorded[NotificationSettingsChanged]) -> Iterable[Change]:
        settings = self._settings[recorded.event.user_id] = settings_of(recorded.event)
        (self._watching.add if watches(settings) else self._watching.discard)(settings.user_id)
        return ()

    def _followed(self, recorded: Recorded[ThreadFollowed]) -> Iterable[Change]:
        self._follows[recorded.event.thread_id, recorded.event.user_id] = True
        return ()

    def _unfollowed(self, recorded: Recorded[ThreadUnfollowed]) -> Iterable[Change]:
        self._follows[recorded.event.thread_id, recorded.event.user_id] = False
        return ()

    def _blocked(self, recorded: Recorded[UserBlocked]) -> Iterable[Change]:
        self._blocks.add((recorded.event.user_id, recorded.event.blocked_id))
        return ()

    def _unblocked(self, recorded: Recorded[UserUnblocked]) -> Iterable[Change]:
        self._blocks.discard((recorded.event.user_id, recorded.event.blocked_id))
        return ()

    def _erased(self, recorded: Recorded[AccountErased]) -> Iterable[Change]:
        """Forget what the person set, blocked and followed: later events of the batch are judged without it."""
        user_id = recorded.event.user_id
        self._settings.pop(user_id, None)
        self._watching.discard(user_id)
        self._blocks = {each for each in self._blocks if each[0] != user_id}
        self._follows = {each: follows for each, follows in self._follows.items() if each[1] != user_id}
        return ()


class _Wanted:
    """What a batch of events must know of."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.rooms: set[RoomId] = set()
        self.whole: set[RoomId] = set()
        self.people: set[UserId] = set()
        self.actors: set[UserId] = set()
        self.threads: set[MessageId] = set()
        self.roots: set[int] = set()
        for event in events:
            match event:
                case MessagePosted():
                    self._post(event)
                case MemberJoined():
                    self.people.add(event.user_id)
                    self.actors.add(event.by)
                case NotificationSettingsChanged() | ThreadFollowed():
                    self.people.add(event.user_id)

    def _post(self, event: MessagePosted) -> None:
        self.rooms.add(event.room_id)
        self.actors.add(event.sender_id)
        self.people.update(event.mentions)
        if event.mentions_room is not None:
            self.whole.add(event.room_id)
        if event.thread_id is not None and event.root_position is not None:
            self.threads.add(event.thread_id)
            self.roots.add(event.root_position)


async def prepare(db: Db, suffix: str, events: Sequence[Recorded[Event]]) -> Handlers:
    """Return the handlers for a batch, with the facts that it needs."""
    wanted = _Wanted(recorded.event for recorded in events)
    if not wanted.rooms and not wanted.people:
        return Audience().handlers()
    names = {
        table: owned.name + suffix
        for table, owned in (("members", MEMBERS), ("settings", SETTINGS), ("threads", THREADS), ("blocks", BLOCKS))
    }
    authors, followers = list[Author](), list[Follower]()
    if wanted.threads:
        authors = await db.all(Author, SELECT_AUTHORS, list(wanted.roots))
        followers = await db.all(Follower, SELECT_FOLLOWERS.format(**names), list(wanted.threads))
    people = wanted.people | {author.user_id for author in authors if author.user_id is not None}
    members = await db.all(
        Member, SELECT_MEMBERS.format(**names), list(wanted.rooms), list(wanted.whole), list(people), list(wanted.threads)
    )  # fmt: skip
    concerned = list(people | {member.user_id for member in members})
    if not concerned:
        return Audience(authors=authors, followers=followers).handlers()  # a talk that is told to nobody
    settings = [decode_settings(text) for text in await db.all(str, SELECT_SETTINGS.format(**names), concerned)]
    blocks = await db.all(Block, SELECT_BLOCKS.format(**names), list(wanted.actors), concerned)
    return Audience(members, settings, blocks, followers, authors).handlers()


@lru_cache(maxsize=10_000)
def _folded(keywords: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(fold, keywords))
