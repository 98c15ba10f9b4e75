"""Approval: one person asks, another one agrees or refuses. For exports and erasures, where the deployment wants four eyes.

There is one stream for each thing that is approved; its id is made of the subject and of that thing's own id. Neither who asked nor
whom the thing is about may decide. What nobody decided in time has expired: it is asked for anew.
"""

from datetime import datetime, timedelta
from typing import ClassVar, Literal, assert_never, get_args
from uuid import UUID, uuid5

from msgspec import Struct
from msgspec.structs import replace

from domain.bounds import APPROVAL_SECONDS
from domain.errors import (
    ApprovalDecidedError,
    ApprovalExpiredError,
    ApprovalNeededError,
    ApprovalNotFoundError,
    ApprovalOwnError,
    ApprovalRefusedError,
)
from domain.events import Event, Recorded, Stream
from domain.ids import ApprovalId, RoomId, UserId

APPROVALS = UUID("0f1f6f0e-8a55-5d1c-9d1e-3b1f5a1c77e2")
ApprovalSubject = Literal["export", "erasure"]
SUBJECTS: tuple[ApprovalSubject, ...] = get_args(ApprovalSubject)
ApprovalState = Literal["pending", "granted", "refused"]


class FourEyes(Struct, frozen=True):
    """What an operator decided: which subjects need somebody else's approval, and for how long it may be given."""

    subjects: frozenset[ApprovalSubject] = frozenset()
    seconds: int = APPROVAL_SECONDS


class _OfApproval(Event, frozen=True):
    """`user_id` is whom the thing is about, where it is about one person."""

    approval_id: ApprovalId
    subject: ApprovalSubject
    about_id: UUID
    requester_id: UserId | None
    user_id: UserId | None

    def about(self) -> UUID | None:
        return self.user_id or self.requester_id

    def encryption_subject(self) -> tuple[UUID, RoomId | None]:
        return self.user_id or self.requester_id or self.approval_id, None


class ApprovalRequested(_OfApproval, frozen=True):
    """`about_id` is the export or erasure; `requester_id` None: an operator at the command line. `summary` says what is to be done."""

    topic: ClassVar = "approval.requested"
    sealed: ClassVar = ("summary", "reason")

    summary: str
    reason: str
    expires_at: datetime


class ApprovalGranted(_OfApproval, frozen=True):
    topic: ClassVar = "approval.granted"
    sealed: ClassVar = ("reason",)
    changes: ClassVar = ("state",)

    decider_id: UserId
    reason: str


class ApprovalRefused(_OfApproval, frozen=True):
    topic: ClassVar = "approval.refused"
    sealed: ClassVar = ("reason",)
    changes: ClassVar = ("state",)

    decider_id: UserId
    reason: str


ApprovalEvent = ApprovalRequested | ApprovalGranted | ApprovalRefused


class Approval(Struct, frozen=True):
    approval_id: ApprovalId
    subject: ApprovalSubject
    about_id: UUID
    requester_id: UserId | None
    user_id: UserId | None
    summary: str
    request_reason: str
    requested_at: datetime
    expires_at: datetime
    state: ApprovalState = "pending"
    decider_id: UserId | None = None
    decision_reason: str = ""
    decided_at: datetime | None = None


def approval_key(subject: ApprovalSubject, about_id: UUID) -> ApprovalId:
    """Return the id of the approval of a thing."""
    return ApprovalId(uuid5(APPROVALS, f"{subject}\n{about_id}"))


def request(
    approval: Approval | None,
    *,
    subject: ApprovalSubject,
    about_id: UUID,
    requester_id: UserId | None,
    user_id: UserId | None,
    summary: str,
    reason: str,
    now: datetime,
    seconds: int,
) -> tuple[ApprovalEvent, ...]:
    """Ask for an approval; asking again for that of the same thing changes nothing."""
    if approval is not None:
        return ()
    expires_at = now + timedelta(seconds=seconds)
    approval_id = approval_key(subject, about_id)
    return (ApprovalRequested(approval_id, subject, about_id, requester_id, user_id, summary, reason, expires_at),)


def decide(
    approval: Approval | None, *, by: UserId, grants: bool, reason: str, now: datetime
) -> tuple[ApprovalEvent, ...]:
    """Grant or refuse it. The same decision by the same person again changes nothing; nobody changes one that was taken."""
    approval = require_known(approval)
    if by in (approval.requester_id, approval.user_id):
        raise ApprovalOwnError
    if approval.state != "pending":
        if approval.decider_id == by and (approval.state == "granted") == grants:
            return ()
        raise ApprovalDecidedError
    if now >= approval.expires_at:
        raise ApprovalExpiredError
    kind = ApprovalGranted if grants else ApprovalRefused
    return (
        kind(
            approval.approval_id, approval.subject, approval.about_id, approval.requester_id, approval.user_id, by, reason
        ),
    )  # fmt: skip


def require_granted(approval: Approval | None, *, now: datetime) -> None:
    """Raise an error unless it was granted, or nobody was asked: then the deployment did not want four eyes."""
    if approval is None or approval.state == "granted":
        return
    if approval.state == "refused":
        raise ApprovalRefusedError
    raise ApprovalExpiredError if now >= approval.expires_at else ApprovalNeededError


def require_known(approval: Approval | None) -> Approval:
    if approval is None:
        raise ApprovalNotFoundError
    return approval


def evolve(approval: Approval | None, recorded: Recorded[ApprovalEvent]) -> Approval:
    match recorded.event:
        case ApprovalRequested() as e:
            return Approval(
                e.approval_id, e.subject, e.about_id, e.requester_id, e.user_id, e.summary, e.reason, recorded.at, e.expires_at
            )  # fmt: skip
        case ApprovalGranted() as e:
            return _decided(approval, "granted", e.decider_id, e.reason, recorded.at)
        case ApprovalRefused() as e:
            return _decided(approval, "refused", e.decider_id, e.reason, recorded.at)
        case _:
            assert_never(recorded.event)


def _decided(
    approval: Approval | None, state: ApprovalState, decider_id: UserId, reason: str, at: datetime
) -> Approval:
    assert approval is not None, "an approval is requested before it is decided"
    return replace(approval, state=state, decider_id=decider_id, decision_reason=reason, decided_at=at)


APPROVAL: Stream[Approval] = Stream(
    "approval", evolve, Approval, subject=lambda each: (each.user_id or each.requester_id or each.approval_id, None)
)
EVENTS: tuple[type[Event], ...] = (ApprovalRequested, ApprovalGranted, ApprovalRefused)
