"""An async client of Hansard. `Client` calls its HTTP API, `Client.chat()` keeps up a connection that loses nothing."""

from hansard_client.backoff import Backoff
from hansard_client.chat import Chat
from hansard_client.client import Client
from hansard_client.conversation import Conversation
from hansard_client.erasures import Certificate, Erasure
from hansard_client.errors import (
    Closed,
    FieldError,
    HansardError,
    NotLoggedIn,
    RecordChanged,
    Refused,
    Unacknowledged,
    Unreachable,
)
from hansard_client.feeds import Feed, Notices
from hansard_client.models import (
    Event,
    File,
    FileError,
    Member,
    Message,
    Meta,
    Notice,
    Notification,
    NotificationSettings,
    Profile,
    PushSubscription,
    Reaction,
    Reactor,
    Room,
    RoomChange,
    Sent,
    Session,
    Thread,
    User,
    Variant,
    Version,
)
from hansard_client.wire import Dial, Wire

__all__ = [
    "Backoff",
    "Certificate",
    "Chat",
    "Client",
    "Closed",
    "Conversation",
    "Dial",
    "Erasure",
    "Event",
    "Feed",
    "FieldError",
    "File",
    "FileError",
    "HansardError",
    "Member",
    "Message",
    "Meta",
    "NotLoggedIn",
    "Notice",
    "Notices",
    "Notification",
    "NotificationSettings",
    "Profile",
    "PushSubscription",
    "Reaction",
    "Reactor",
    "RecordChanged",
    "Refused",
    "Room",
    "RoomChange",
    "Sent",
    "Session",
    "Thread",
    "Unacknowledged",
    "Unreachable",
    "User",
    "Variant",
    "Version",
    "Wire",
]
