"""Errors that a person reads: sentences for operators, and refusals, which are the answers of a decision that says no.

The docstring of a refusal is the sentence that a person reads; its `code` is stable and part of the contract. Its family
(its base class) says what kind of refusal it is; only `gateway/http/error_mapping.py` knows HTTP's numbers for the families.
"""

from typing import ClassVar


class ReadableError(Exception):
    """An accident that was foreseen: its text is a whole sentence for whoever runs the process, instead of a trace."""


class SetupError(ReadableError):
    """An error that will be there at the next start, too: a setting, a key, a log-in, a version. Exit code 78."""


class DomainError(ReadableError):
    """The request was refused."""

    code: ClassVar[str] = "refused"

    def __init_subclass__(cls, code: str | None = None) -> None:
        if code is not None:
            cls.code = code

    def __init__(self, detail: str | None = None, *, pointer: str | None = None) -> None:
        """`pointer` is the JSON pointer (RFC 6901) of the field that is to blame, where there is one."""
        self.detail = detail or (type(self).__doc__ or "").strip()
        self.pointer = pointer
        super().__init__(self.detail)


class NotFoundError(DomainError):
    """What was asked for does not exist, or is not yours to know of."""


class ForbiddenError(DomainError):
    """You may know of it, but not do this."""


class UnauthenticatedError(DomainError):
    """Who you are is not shown."""


class ConflictError(DomainError):
    """The present state does not allow it."""


class StaleVersionError(DomainError, code="version.stale"):
    """Somebody changed it since you read it; read it again and decide anew."""


class InvalidError(DomainError, code="field.invalid"):
    """A field holds what it may not hold."""


class EventUnreadableError(DomainError, code="record.unreadable"):
    """The record holds something on this that cannot be read, so nothing can be decided about it; tell an operator."""


class BusyError(DomainError, code="server.busy"):
    """Too much is waiting; try again in a moment."""


class RecordNewerError(BusyError, code="server.outdated"):
    """This server is older than what was recorded here; another one, or a newer version of it, can answer."""


class LimitExceededError(DomainError, code="limit.reached"):
    """Too many requests; wait as long as Retry-After says."""

    def __init__(self, retry_after_seconds: float, detail: str | None = None) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


# Accounts and sessions


class AccountNotFoundError(NotFoundError, code="account.not_found"):
    """There is no such account."""


class AccountDeactivatedError(ForbiddenError, code="account.deactivated"):
    """This account is deactivated."""


class UsernameTakenError(ConflictError, code="account.username_taken"):
    """This username is taken, or looks like one that is."""


class EmailTakenError(ConflictError, code="account.email_taken"):
    """An account with this e-mail exists already; log in, or use another address."""


class RegistrationClosedError(ForbiddenError, code="account.registration_closed"):
    """New accounts are not taken here; ask an operator."""


class PlainConnectionError(ForbiddenError, code="transport.plain"):
    """This server is spoken to over TLS only: use https:// and wss://."""


class BadCredentialsError(UnauthenticatedError, code="auth.bad_credentials"):
    """E-mail or password is wrong."""


class BadTokenError(UnauthenticatedError, code="auth.token_invalid"):
    """A valid access token is needed: log in, or refresh the session."""


class BadRefreshTokenError(UnauthenticatedError, code="auth.refresh_invalid"):
    """This refresh token is unknown, spent or expired; log in again."""


class SessionRevokedError(UnauthenticatedError, code="auth.session_revoked"):
    """This session has ended; log in again."""


class SessionNotFoundError(NotFoundError, code="session.not_found"):
    """There is no such session, or it is not yours."""


class NotVerifiedError(ForbiddenError, code="account.not_verified"):
    """Confirm your e-mail address first: a code is on its way to it."""


class BadEmailTokenError(InvalidError, code="auth.mail_token_invalid"):
    """This code is unknown, used or expired; ask for a new one."""


class PasswordTooCommonError(InvalidError, code="password.too_common"):
    """This password is one of those that are guessed first; choose another."""


class WrongPasswordError(ForbiddenError, code="auth.wrong_password"):
    """This is not your present password."""


class RoleNeededError(ForbiddenError, code="auth.role_needed"):
    """This needs a role that you do not have."""


# Rooms and memberships


class RoomNotFoundError(NotFoundError, code="room.not_found"):
    """There is no such room, or it is not yours to see."""


class NotAMemberError(ForbiddenError, code="room.not_a_member"):
    """Only members of the room may do this; join it first."""


class BannedError(ForbiddenError, code="room.banned"):
    """You are banned from this room."""


class RoleTooLowError(ForbiddenError, code="room.role_too_low"):
    """Your role in this room does not allow this."""


class OnlyOwnersPromoteError(RoleTooLowError):
    """Only an owner gives a role above member."""


class LeaveInsteadError(RoleTooLowError):
    """To go, leave the room."""


class OnlyMembersRemovedError(RoleTooLowError):
    """An admin removes members only."""


class RoomArchivedError(ConflictError, code="room.archived"):
    """This room is archived: its history stays, nothing can be written any more."""


class LastOwnerError(ConflictError, code="room.last_owner"):
    """A room always keeps an owner: make somebody else owner first."""


class TooManyOwnersError(ConflictError, code="room.too_many_owners"):
    """This room has as many owners as a room may have."""


class MemberNotFoundError(NotFoundError, code="member.not_found"):
    """This person is not a member of the room."""


class DirectRoomError(ConflictError, code="room.direct"):
    """A direct room is of the people it was opened for: nobody joins, leaves or is added."""


class BlockedError(ForbiddenError, code="direct.blocked"):
    """This person takes no direct messages from you."""


class BlockOneselfError(InvalidError, code="block.oneself"):
    """Nobody blocks themselves."""


class TooManyBlocksError(ConflictError, code="block.too_many"):
    """You have blocked as many people as one may; unblock another one first."""


# Channels


class SubscriptionNotFoundError(NotFoundError, code="push.not_found"):
    """There is no such push subscription, or it is not yours."""


class EndpointTakenError(ConflictError, code="push.endpoint_taken"):
    """Others subscribe this device at this very moment; try again."""


class EndpointRefusedError(InvalidError, code="endpoint.refused"):
    """This is no https address of a public server."""


class WebhookNotFoundError(NotFoundError, code="webhook.not_found"):
    """You have no webhook."""


class PushKeysInvalidError(InvalidError, code="push.keys_invalid"):
    """These are not the keys of a push subscription: a point of P-256 and 16 bytes, in Base64url."""


class UnsubscribeTokenError(InvalidError, code="mail.unsubscribe_invalid"):
    """This link is not one of ours, or was cut; change what you are told of in your settings."""


# Messages and files


class MessageNotFoundError(NotFoundError, code="message.not_found"):
    """There is no such message, or it is not yours to see."""


class NotYourMessageError(ForbiddenError, code="message.not_yours"):
    """Only its sender may edit a message; its sender, or an owner or admin of the room, may delete it."""


class MessageIdTakenError(ConflictError, code="message.id_taken"):
    """Another message was posted under this id."""


class MessageIdReservedError(InvalidError, code="message.id_reserved"):
    """This id is a system message's, or will be one's: make another."""


class MessageDeletedError(ConflictError, code="message.deleted"):
    """This message is deleted."""


class TooManyEditsError(ConflictError, code="message.too_many_edits"):
    """This message has been edited as often as a message may be; post another one."""


class SystemMessageError(ConflictError, code="message.system"):
    """A system message cannot be edited, deleted, reacted to or pinned."""


class EmojiUnknownError(InvalidError, code="emoji.unknown"):
    """This is not one emoji of Unicode."""


class TooManyReactionsError(ConflictError, code="reaction.too_many"):
    """There are as many reactions to this message as there may be, of one person or of different emoji."""


class TooManyPinsError(ConflictError, code="pin.too_many"):
    """This room has as many pinned messages as a room may have; unpin another one first."""


class ReplyTargetUnknownError(InvalidError, code="message.reply_unknown"):
    """The message to reply to is not in this room."""


class NotARootError(InvalidError, code="thread.not_a_root"):
    """A thread is of a message of the same room that is no reply in a thread itself."""


class NoSuchFileError(NotFoundError, code="file.not_found"):
    """There is no such file, or it is not yours to see."""


class FilePendingError(ConflictError, code="file.pending"):
    """This file is still being looked at: until then it can be shown in one room, and downloaded by nobody."""


class FileEndedError(ConflictError, code="file.failed"):
    """This file could not be taken in; it cannot be shown."""


class FileNotRetryableError(ConflictError, code="file.not_retryable"):
    """Only a file that was given up can be tried again."""


class TooManyUploadsError(LimitExceededError, code="file.too_many_uploads"):
    """So many uploads of yours are under way already; send the next when one of them has been answered."""


class FileTooLargeError(ConflictError, code="file.too_large"):
    """This file is larger than may be uploaded here."""


class QuotaExceededError(ConflictError, code="file.quota_exceeded"):
    """With this file you would store more than you may here; ask an operator for more room."""


# Approvals


class ApprovalNotFoundError(NotFoundError, code="approval.not_found"):
    """There is no such approval."""


class ApprovalOwnError(ForbiddenError, code="approval.own"):
    """Somebody else decides on this: neither who asked for it nor whom it is about."""


class ApprovalNeededError(ConflictError, code="approval.needed"):
    """This waits for somebody else's approval."""


class ApprovalRefusedError(ConflictError, code="approval.refused"):
    """The approval that this needed was refused."""


class ApprovalExpiredError(ConflictError, code="approval.expired"):
    """Nobody decided on this in time; ask for it anew."""


class ApprovalDecidedError(ConflictError, code="approval.decided"):
    """Somebody has decided on this already."""


# Requests


class IdempotencyMismatchError(InvalidError, code="idempotency.mismatch"):
    """This Idempotency-Key was used with another body."""


class WriteContendedError(ConflictError, code="write.contended"):
    """Too many others change the same thing at this moment; try again."""
