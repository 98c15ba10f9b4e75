"""Rights: who may do what, as tables. There is no other copy of a rule; `domain/authorization.py` asks them.

A row is an operation, a column a relationship, and a cell is `ok` or the refusal. The tables are asked in this order, and
the first refusal is the answer: who is asking (`AS_WHOM`); what they are to the room (`IN_ROOM`); and, if the operation is
about something in the room, what they are to that (`OF_…`). What the state forbids to everybody (a last owner, a deleted
message, a stale version) is not a right: the decisions refuse it afterwards.

`docs/rights.md` shows the same with the requests and codes that clients see; `hansard explain` says it of one person.
"""

from typing import Literal, NamedTuple, get_args

from domain.errors import (
    AccountDeactivatedError,
    BadCredentialsError,
    BadTokenError,
    BannedError,
    DomainError,
    LeaveInsteadError,
    MemberNotFoundError,
    MessageNotFoundError,
    NoSuchFileError,
    NotAMemberError,
    NotVerifiedError,
    NotYourMessageError,
    OnlyMembersRemovedError,
    OnlyOwnersPromoteError,
    RoleNeededError,
    RoleTooLowError,
    RoomArchivedError,
    RoomNotFoundError,
    SessionNotFoundError,
    SessionRevokedError,
)

# Somebody who was removed may join a public room again, somebody who is banned may not. Being added again lifts a ban.
Relationship = Literal["stranger", "left", "removed", "banned", "member", "admin", "owner"]
Outside = Literal["stranger", "left", "removed", "banned"]
RoomKind = Literal["public", "private", "archived", "private archived"]
Whom = Literal["nobody", "ended", "deactivated", "unverified", "person", "auditor", "records_manager", "admin"]
FileRelationship = Literal["uploader", "reader", "nobody"]
MemberTarget = Literal["outsider", "oneself", "member", "admin", "owner"]

PersonalOperation = Literal[
    "account.erase", "account.erase_other", "account.register", "account.verify_email", "approval.decide_erasure",
    "approval.decide_export", "approval.read", "audit.read", "block.list", "block.put", "block.remove", "deployment.read",
    "direct.open", "erasure.read", "export.read", "export.request", "file.upload", "hold.list", "hold.place", "hold.release",
    "mail.stop", "notification.change", "notification.list",
    "notification.mark_read", "notification.settings", "operations.read", "password.change",
    "password.forget", "password.reset", "profile.change", "profile.read", "projection.rebuild", "push.key", "push.list",
    "push.subscribe", "push.test", "push.unsubscribe", "retention.put", "retention.read", "room.open", "session.close", "session.end",
    "session.list", "session.open", "session.refresh", "socket.open", "task.retry", "user.find", "user.read",
    "webhook.put", "webhook.read", "webhook.remove",
]  # fmt: skip
RoomOperation = Literal[
    "file.download", "file.read", "file.status", "file.upload_for", "member.list", "member.promote", "member.put",
    "member.remove", "mention.room", "message.delete", "message.edit", "message.list", "message.pin", "message.post",
    "message.read", "message.unpin", "message.versions", "pin.list", "reaction.add", "reaction.list", "reaction.remove",
    "room.archive", "room.change", "room.hear", "room.history", "room.join", "room.leave", "room.list", "room.mark_read",
    "room.read", "thread.follow", "thread.list", "thread.mark_read", "thread.unfollow",
]  # fmt: skip
MessageOperation = Literal["message.edit", "message.delete"]
MemberOperation = Literal["member.put", "member.promote", "member.remove"]
SeeingFile = Literal["file.read", "file.status", "file.download"]
FileOperation = SeeingFile | Literal["file.share"]
Operation = PersonalOperation | RoomOperation | FileOperation

OPERATIONS: tuple[str, ...] = tuple(sorted((*get_args(PersonalOperation), *get_args(RoomOperation), "file.share")))

Verdict = type[DomainError] | None
ok: Verdict = None


class AsWhom(NamedTuple):
    """`nobody` has no token; of `ended` the session has ended; `unverified` has not confirmed an e-mail address that must be.

    Deactivating an account ends all its sessions. A session that was opened before addresses had to be confirmed goes on.
    """

    operation: str
    nobody: Verdict
    ended: Verdict
    deactivated: Verdict
    unverified: Verdict
    person: Verdict
    auditor: Verdict
    records_manager: Verdict
    admin: Verdict


class InRoom(NamedTuple):
    """`unknown` is the refusal for a room that does not exist, and for a private room to everybody outside of it.

    `archived` is the answer in an archived room to those whom their relationship would allow it.
    """

    operation: RoomOperation
    unknown: type[DomainError]
    stranger: Verdict
    left: Verdict
    removed: Verdict
    banned: Verdict
    member: Verdict
    admin: Verdict
    owner: Verdict
    archived: Verdict


class OfMessage(NamedTuple):
    """For those whom `IN_ROOM` allows it: the message's sender, or what somebody else is to the room."""

    operation: MessageOperation
    sender: Verdict
    member: Verdict
    admin: Verdict
    owner: Verdict


class OfMember(NamedTuple):
    """For those whom `IN_ROOM` allows it, an admin or an owner: the column is what the other person is to the room."""

    operation: MemberOperation
    by: Literal["admin", "owner"]
    outsider: Verdict
    oneself: Verdict
    member: Verdict
    admin: Verdict
    owner: Verdict


class OfFile(NamedTuple):
    """A `reader` may read a message that shows the file, as `IN_ROOM` says."""

    operation: FileOperation
    uploader: Verdict
    reader: Verdict
    nobody: Verdict


class OfSession(NamedTuple):
    operation: Literal["session.end"]
    own: Verdict
    others: Verdict


# fmt: off
EVERY_OTHER = "every other"
AS_WHOM: tuple[AsWhom, ...] = (
    #      operation               nobody         ended                deactivated              unverified        person           auditor records_manager admin
    AsWhom("deployment.read",      ok,            ok,                  ok,                      ok,               ok,              ok,     ok,             ok),
    AsWhom("erasure.read",         ok,            ok,                  ok,                      ok,               ok,              ok,     ok,             ok),
    AsWhom("account.register",     ok,            ok,                  ok,                      ok,               ok,              ok,     ok,             ok),
    AsWhom("account.verify_email", ok,            ok,                  AccountDeactivatedError, ok,               ok,              ok,     ok,             ok),
    AsWhom("password.forget",      ok,            ok,                  ok,                      ok,               ok,              ok,     ok,             ok),
    AsWhom("password.reset",       ok,            ok,                  AccountDeactivatedError, ok,               ok,              ok,     ok,             ok),
    AsWhom("mail.stop",            ok,            ok,                  AccountDeactivatedError, ok,               ok,              ok,     ok,             ok),
    AsWhom("session.open",         ok,            ok,                  BadCredentialsError,     NotVerifiedError, ok,              ok,     ok,             ok),
    AsWhom("session.refresh",      ok,            SessionRevokedError, SessionRevokedError,     ok,               ok,              ok,     ok,             ok),
    AsWhom("audit.read",           BadTokenError, SessionRevokedError, SessionRevokedError,     RoleNeededError,  RoleNeededError, ok,     ok,             ok),
    AsWhom("hold.list",            BadTokenError, SessionRevokedError, SessionRevokedError,     RoleNeededError,  RoleNeededError, ok,     ok,             ok),
    AsWhom("hold.place",           BadTokenError, SessionRevokedError, SessionRevokedError,     RoleNeededError,  RoleNeededError, RoleNeededError, ok,     RoleNeededError),
    AsWhom("hold.release",         BadTokenError, SessionRevokedError, SessionRevokedError,     RoleNeededError,  RoleNeededError, RoleNeededError, ok,     RoleNeededError),
    AsWhom("approval.read",        BadTokenError, SessionRevokedError, SessionRevokedError,     RoleNeededError,  RoleNeededError, ok,     ok,             ok),
    AsWhom("approval.decide_export", BadTokenError, SessionRevokedError, SessionRevokedError,   RoleNeededError,  RoleNeededError, ok,     ok,             ok),
    AsWhom("approval.decide_erasure", BadTokenError, SessionRevokedError, SessionRevokedError,  RoleNeededError,  RoleNeededError, RoleNeededError, ok,    ok),
    AsWhom("retention.put",        BadTokenError, SessionRevokedError, SessionRevokedError,     RoleNeededError,  RoleNeededError, RoleNeededError, ok,     RoleNeededError),
    AsWhom("retention.read",       BadTokenError, SessionRevokedError, SessionRevokedError,     RoleNeededError,  RoleNeededError, ok,     ok,             ok),
    AsWhom("export.read",          BadTokenError, SessionRevokedError, SessionRevokedError,     RoleNeededError,  RoleNeededError, ok,     ok,             ok),
    AsWhom("export.request",       BadTokenError, SessionRevokedError, SessionRevokedError,     RoleNeededError,  RoleNeededError, ok,     ok,             ok),
    AsWhom("operations.read",      BadTokenError, SessionRevokedError, SessionRevokedError,     RoleNeededError,  RoleNeededError, RoleNeededError, RoleNeededError, ok),
    AsWhom("account.erase_other",  BadTokenError, SessionRevokedError, SessionRevokedError,     RoleNeededError,  RoleNeededError, RoleNeededError, RoleNeededError, ok),
    AsWhom("projection.rebuild",   BadTokenError, SessionRevokedError, SessionRevokedError,     RoleNeededError,  RoleNeededError, RoleNeededError, RoleNeededError, ok),
    AsWhom("task.retry",           BadTokenError, SessionRevokedError, SessionRevokedError,     RoleNeededError,  RoleNeededError, RoleNeededError, RoleNeededError, ok),
    AsWhom(EVERY_OTHER,            BadTokenError, SessionRevokedError, SessionRevokedError,     ok,               ok,              ok,     ok,             ok),
)
IN_ROOM: tuple[InRoom, ...] = (
    #      operation           unknown               stranger         left             removed          banned             member           admin            owner archived
    InRoom("room.read",        RoomNotFoundError,    ok,              ok,              ok,              BannedError,       ok,              ok,              ok,   ok),
    InRoom("room.list",        RoomNotFoundError,    ok,              ok,              ok,              RoomNotFoundError, ok,              ok,              ok,   ok),
    InRoom("room.history",     RoomNotFoundError,    ok,              ok,              ok,              BannedError,       ok,              ok,              ok,   ok),
    InRoom("room.join",        RoomNotFoundError,    ok,              ok,              ok,              BannedError,       ok,              ok,              ok,   RoomArchivedError),
    InRoom("room.leave",       RoomNotFoundError,    NotAMemberError, NotAMemberError, NotAMemberError, BannedError,       ok,              ok,              ok,   ok),
    InRoom("room.mark_read",   RoomNotFoundError,    NotAMemberError, NotAMemberError, NotAMemberError, BannedError,       ok,              ok,              ok,   ok),
    InRoom("room.hear",        RoomNotFoundError,    NotAMemberError, NotAMemberError, NotAMemberError, BannedError,       ok,              ok,              ok,   ok),
    InRoom("room.change",      RoomNotFoundError,    NotAMemberError, NotAMemberError, NotAMemberError, BannedError,       RoleTooLowError, ok,              ok,   RoomArchivedError),
    InRoom("room.archive",     RoomNotFoundError,    NotAMemberError, NotAMemberError, NotAMemberError, BannedError,       RoleTooLowError, RoleTooLowError, ok,   ok),
    InRoom("member.list",      RoomNotFoundError,    ok,              ok,              ok,              BannedError,       ok,              ok,              ok,   ok),
    InRoom("member.put",       RoomNotFoundError,    NotAMemberError, NotAMemberError, NotAMemberError, BannedError,       RoleTooLowError, ok,              ok,   RoomArchivedError),
    InRoom("member.promote",   RoomNotFoundError,    NotAMemberError, NotAMemberError, NotAMemberError, BannedError,       RoleTooLowError, ok,              ok,   RoomArchivedError),
    InRoom("member.remove",    RoomNotFoundError,    NotAMemberError, NotAMemberError, NotAMemberError, BannedError,       RoleTooLowError, ok,              ok,   RoomArchivedError),
    InRoom("message.list",     RoomNotFoundError,    ok,              ok,              ok,              BannedError,       ok,              ok,              ok,   ok),
    InRoom("message.read",     MessageNotFoundError, ok,              ok,              ok,              BannedError,       ok,              ok,              ok,   ok),
    InRoom("message.versions", MessageNotFoundError, ok,              ok,              ok,              BannedError,       ok,              ok,              ok,   ok),
    InRoom("message.post",     RoomNotFoundError,    NotAMemberError, NotAMemberError, NotAMemberError, BannedError,       ok,              ok,              ok,   RoomArchivedError),
    InRoom("mention.room",     RoomNotFoundError,    NotAMemberError, NotAMemberError, NotAMemberError, BannedError,       RoleTooLowError, ok,              ok,   RoomArchivedError),
    InRoom("message.edit",     MessageNotFoundError, NotAMemberError, NotAMemberError, NotAMemberError, BannedError,       ok,              ok,              ok,   RoomArchivedError),
    InRoom("message.delete",   MessageNotFoundError, NotAMemberError, NotAMemberError, NotAMemberError, BannedError,       ok,              ok,              ok,   RoomArchivedError),
    InRoom("message.pin",      MessageNotFoundError, NotAMemberError, NotAMemberError, NotAMemberError, BannedError,       RoleTooLowError, ok,              ok,   RoomArchivedError),
    InRoom("message.unpin",    MessageNotFoundError, NotAMemberError, NotAMemberError, NotAMemberError, BannedError,       RoleTooLowError, ok,              ok,   RoomArchivedError),
    InRoom("pin.list",         RoomNotFoundError,    ok,              ok,              ok,              BannedError,       ok,              ok,              ok,   ok),
    InRoom("reaction.add",     MessageNotFoundError, NotAMemberError, NotAMemberError, NotAMemberError, BannedError,       ok,              ok,              ok,   RoomArchivedError),
    InRoom("reaction.remove",  MessageNotFoundError, NotAMemberError, NotAMemberError, NotAMemberError, BannedError,       ok,              ok,              ok,   RoomArchivedError),
    InRoom("reaction.list",    MessageNotFoundError, ok,              ok,              ok,              BannedError,       ok,              ok,              ok,   ok),
    InRoom("thread.list",      MessageNotFoundError, ok,              ok,              ok,              BannedError,       ok,              ok,              ok,   ok),
    InRoom("thread.follow",    MessageNotFoundError, NotAMemberError, NotAMemberError, NotAMemberError, BannedError,       ok,              ok,              ok,   ok),
    InRoom("thread.unfollow",  MessageNotFoundError, NotAMemberError, NotAMemberError, NotAMemberError, BannedError,       ok,              ok,              ok,   ok),
    InRoom("thread.mark_read", MessageNotFoundError, NotAMemberError, NotAMemberError, NotAMemberError, BannedError,       ok,              ok,              ok,   ok),
    InRoom("file.upload_for",  RoomNotFoundError,    NotAMemberError, NotAMemberError, NotAMemberError, BannedError,       ok,              ok,              ok,   RoomArchivedError),
    InRoom("file.read",        NoSuchFileError,      ok,              ok,              ok,              NoSuchFileError,   ok,              ok,              ok,   ok),
    InRoom("file.status",      NoSuchFileError,      ok,              ok,              ok,              NoSuchFileError,   ok,              ok,              ok,   ok),
    InRoom("file.download",    NoSuchFileError,      ok,              ok,              ok,              NoSuchFileError,   ok,              ok,              ok,   ok),
)
OF_MESSAGE: tuple[OfMessage, ...] = (
    #         operation         sender member               admin                owner
    OfMessage("message.edit",   ok,    NotYourMessageError, NotYourMessageError, NotYourMessageError),
    OfMessage("message.delete", ok,    NotYourMessageError, ok,                  ok),
)
# `put` gives the role member, `promote` one above it.
OF_MEMBER: tuple[OfMember, ...] = (
    #        operation         by       outsider                oneself                 member                  admin                    owner
    OfMember("member.put",     "admin", ok,                     RoleTooLowError,        ok,                     RoleTooLowError,         RoleTooLowError),
    OfMember("member.put",     "owner", ok,                     ok,                     ok,                     ok,                      ok),
    OfMember("member.promote", "admin", OnlyOwnersPromoteError, OnlyOwnersPromoteError, OnlyOwnersPromoteError, OnlyOwnersPromoteError,  OnlyOwnersPromoteError),
    OfMember("member.promote", "owner", ok,                     ok,                     ok,                     ok,                      ok),
    OfMember("member.remove",  "admin", MemberNotFoundError,    LeaveInsteadError,      ok,                     OnlyMembersRemovedError, OnlyMembersRemovedError),
    OfMember("member.remove",  "owner", MemberNotFoundError,    LeaveInsteadError,      ok,                     ok,                      ok),
)
OF_FILE: tuple[OfFile, ...] = (
    #      operation        uploader reader           nobody
    OfFile("file.read",     ok,      ok,              NoSuchFileError),
    OfFile("file.status",   ok,      ok,              NoSuchFileError),
    OfFile("file.download", ok,      ok,              NoSuchFileError),
    OfFile("file.share",    ok,      NoSuchFileError, NoSuchFileError),
)
OF_SESSION: tuple[OfSession, ...] = (
    #         operation      own others
    OfSession("session.end", ok, SessionNotFoundError),
)
# fmt: on
