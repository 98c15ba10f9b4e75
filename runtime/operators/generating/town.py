"""The town: who there is, which rooms they are in and what happened in them of late. It follows the events that the record
answered with, and knows as much as is needed to choose what somebody does next. Its memory does not grow with the record.
"""

import random
from collections import deque
from typing import Any
from uuid import UUID

from msgspec import Struct, field

from domain.account import AccountActivated, AccountDeactivated, AccountRegistered, ProfileChanged
from domain.block import UserBlocked, UserUnblocked
from domain.events import Caller, Recorded
from domain.file import FileCompleted, FileFailed, FileReceived, FileRetried, FileScanned
from domain.ids import FileId, MessageId, RoomId, SessionId, UserId
from domain.membership import MemberJoined, MemberLeft, MemberRemoved, MemberRole, MemberRoleChanged
from domain.message import MessageDeleted, MessagePosted
from domain.pin import MessagePinned, MessageUnpinned
from domain.reaction import ReactionAdded, ReactionRemoved
from domain.reading import ReadMarked
from domain.room import RoomArchived, RoomChanged, RoomOpened
from domain.session import SessionEnded, SessionOpened, SessionRefreshed
from domain.thread import FollowingEvent, ThreadFollowed, ThreadRead, ThreadReplied, ThreadUnfollowed

RECENT_MESSAGES_MAX = 40  # of a room, that somebody may still answer, edit, react to
RECENT_THREADS_MAX = 8  # of a room
READY_FILES_MAX = 50
SESSIONS_MAX = 3


class Posted(Struct):
    """A message that people may still turn to."""

    id: MessageId
    sender: UserId
    position: int
    mentions: tuple[UserId, ...] = ()
    thread_id: MessageId | None = None
    given: list[tuple[UserId, str]] = field(default_factory=list)


class Root(Struct):
    """A message that there is a thread of: its last reply, and who follows it, each with how far they have read it."""

    id: MessageId
    sender: UserId
    mentions: tuple[UserId, ...] = ()
    last: int = 0
    followers: dict[UserId, int] = field(default_factory=dict)


class Room(Struct):
    id: RoomId
    is_private: bool
    is_direct: bool
    roles: dict[UserId, MemberRole] = field(default_factory=dict)
    members: list[UserId] = field(default_factory=list)
    recent: deque[Posted] = field(default_factory=lambda: deque(maxlen=RECENT_MESSAGES_MAX))
    threads: deque[Root] = field(default_factory=lambda: deque(maxlen=RECENT_THREADS_MAX))
    pinned: list[MessageId] = field(default_factory=list)
    last: int = 0
    is_archived: bool = False
    is_since_joining: bool = False

    def by_role(self, *roles: MemberRole) -> list[UserId]:
        return [each for each in self.members if self.roles[each] in roles]


class Person(Struct):
    id: UserId
    name: str
    number: int
    is_active: bool = True
    sessions: deque[SessionId] = field(default_factory=lambda: deque(maxlen=SESSIONS_MAX))
    read: dict[RoomId, int] = field(default_factory=dict)
    blocked: list[UserId] = field(default_factory=list)

    def caller(self) -> Caller:
        address, agent = f"10.0.{self.number // 250}.{self.number % 250 + 1}", "Hansard/1.0 (generated)"
        return Caller(self.id, self.sessions[-1] if self.sessions else None, None, None, address, agent)


class FileThere(Struct, frozen=True):
    """A file and how far it is; `for_room` as its uploader said."""

    id: FileId
    uploader: UserId
    mime_type: str
    for_room: RoomId | None


class Town:
    """Everybody and every room. Chances are its own, so that a seed makes the same town."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.people: dict[UserId, Person] = {}
        self.rooms: dict[RoomId, Room] = {}
        self.received: deque[FileThere] = deque()
        self.scanned: deque[FileThere] = deque()
        self.ready: deque[FileThere] = deque(maxlen=READY_FILES_MAX)
        self.given_up: deque[FileThere] = deque(maxlen=READY_FILES_MAX)
        self.tokens: dict[SessionId, str] = {}
        self.inactive: list[UserId] = []
        self._order: list[RoomId] = []
        self._weights: list[float] = []
        self._everybody: list[UserId] = []

    def uuid(self) -> UUID:
        return UUID(int=self.chance.getrandbits(128), version=4)

    def somebody(self) -> Person:
        return self.people[self.chance.choice(self._everybody)]

    def some_room(self) -> Room:
        """Return a room; the first ones are busier than the others by a power law."""
        [room_id] = self.chance.choices(self._order, cum_weights=self._weights)
        return self.rooms[room_id]

    def some_member(self, room: Room) -> Person | None:
        """Return a member of a room who is active; those who joined first talk most. None if there is nobody."""
        if not room.members:
            return None
        person = self.people[room.members[int(len(room.members) * self.chance.random() ** 2)]]
        return person if person.is_active else None

    def take(self, recorded: Recorded[Any]) -> None:
        """Follow an event of the record."""
        e = recorded.event
        match e:
            case AccountRegistered():
                self.people[e.user_id] = Person(e.user_id, e.username, len(self.people))
                self._everybody.append(e.user_id)
            case ProfileChanged():
                self.people[e.user_id].name = e.username
            case AccountDeactivated():
                self.people[e.user_id].is_active = False
                self.inactive.append(e.user_id)
            case AccountActivated():
                self.people[e.user_id].is_active = True
                self.inactive.remove(e.user_id)
            case SessionOpened():
                self._opened(e)
            case SessionRefreshed():
                self.tokens[e.session_id] = e.token_hash
            case SessionEnded():
                self._ended(e)
            case ReadMarked():
                self.people[e.user_id].read[e.room_id] = e.position
            case UserBlocked():
                self.people[e.user_id].blocked.append(e.blocked_id)
            case UserUnblocked():
                self.people[e.user_id].blocked.remove(e.blocked_id)
            case FileReceived() | FileScanned() | FileCompleted() | FileFailed() | FileRetried():
                self._take_file(e)
            case ThreadFollowed() | ThreadUnfollowed() | ThreadRead():
                self._take_following(e)
            case _ if e.frame_room() in self.rooms or isinstance(e, RoomOpened):
                self._take_in_room(recorded)

    def _opened(self, e: SessionOpened) -> None:
        sessions = self.people[e.user_id].sessions
        if len(sessions) == SESSIONS_MAX:
            self.tokens.pop(sessions[0], None)
        sessions.append(e.session_id)
        self.tokens[e.session_id] = e.token_hash

    def _ended(self, e: SessionEnded) -> None:
        sessions = self.people[e.user_id].sessions
        if e.session_id in sessions:
            sessions.remove(e.session_id)
            del self.tokens[e.session_id]

    def _take_file(self, e: FileReceived | FileScanned | FileCompleted | FileFailed | FileRetried) -> None:
        for waiting in (self.received, self.scanned, self.given_up):
            found = next((file for file in waiting if file.id == e.file_id), None)
            if found is not None:
                waiting.remove(found)
                break
        else:
            found = None
        match e:
            case FileReceived():
                self.received.append(FileThere(e.file_id, e.uploader_id, e.mime_type, e.for_room))
            case FileScanned() if found:
                self.scanned.append(found)
            case FileCompleted() if found:
                self.ready.append(found)
            case FileFailed() if found and e.reason == "gave_up":
                self.given_up.append(found)
            case FileRetried() if found:
                (self.scanned if e.status == "processing" else self.received).append(found)

    def _take_following(self, e: FollowingEvent) -> None:
        root = next((each for each in self.rooms[e.room_id].threads if each.id == e.thread_id), None)
        match e:
            case ThreadFollowed() if root:
                root.followers[e.user_id] = e.since
            case ThreadRead() if root:
                root.followers[e.user_id] = e.position
            case ThreadUnfollowed() if root:
                root.followers.pop(e.user_id, None)

    def _replied(self, room: Room, e: ThreadReplied, position: int) -> None:
        """Note a reply; a thread of which the town knows nothing begins with it, if its root is of late."""
        if all(root.id != e.thread_id for root in room.threads):
            room.threads.extend(
                Root(each.id, each.sender, each.mentions) for each in room.recent if each.id == e.thread_id
            )
        for root in room.threads:
            if root.id == e.thread_id:
                root.last = position

    def _take_in_room(self, recorded: Recorded[Any]) -> None:
        e = recorded.event
        if isinstance(e, RoomOpened):
            self._open(e)
        room = self.rooms[e.room_id]
        room.last = recorded.position
        match e:
            case RoomChanged():
                room.is_private, room.is_since_joining = e.is_private, e.history == "joined"
            case RoomArchived():
                room.is_archived = True
            case MemberJoined():
                room.members.append(e.user_id)
                room.roles[e.user_id] = e.role
            case MemberLeft() | MemberRemoved():
                room.members.remove(e.user_id)
                del room.roles[e.user_id]
                self.people[e.user_id].read.pop(room.id, None)
            case MemberRoleChanged():
                room.roles[e.user_id] = e.role
            case MessagePosted():
                room.recent.append(Posted(e.message_id, e.sender_id, recorded.position, e.mentions, e.thread_id))
            case MessageDeleted():
                room.recent = deque((each for each in room.recent if each.id != e.message_id), RECENT_MESSAGES_MAX)
            case ThreadReplied():
                self._replied(room, e, recorded.position)
            case MessagePinned():
                room.pinned.append(e.message_id)
            case MessageUnpinned():
                room.pinned.remove(e.message_id)
            case ReactionAdded() | ReactionRemoved():
                for posted in room.recent:
                    if posted.id == e.message_id and isinstance(e, ReactionAdded):
                        posted.given.append((e.user_id, e.emoji))
                    elif posted.id == e.message_id:
                        posted.given.remove((e.user_id, e.emoji))

    def _open(self, e: RoomOpened) -> None:
        """Add a room. A direct room is as busy as the quietest."""
        self.rooms[e.room_id] = Room(e.room_id, e.is_private, bool(e.direct))
        self._order.append(e.room_id)
        weight = 1 / len(self._order)
        self._weights.append((self._weights[-1] if self._weights else 0.0) + weight)
