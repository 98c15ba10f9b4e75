"""Approvals: what needs a second person waits for one, and who decides.

A command that begins something calls `await_approval`, and the one that goes on with it `require_approved`. The event
`approval.granted` names the thing (`subject`, `about_id`): whoever carries it out follows the record, and goes on then.
"""

from uuid import UUID

from msgspec import Struct

from commands.unit_of_work import Handler, UnitOfWork
from domain import approval as decide
from domain.account import ACCOUNT, require_right
from domain.approval import APPROVAL, ApprovalSubject, FourEyes, approval_key
from domain.ids import ApprovalId, UserId
from domain.rights import PersonalOperation

DECIDES: dict[ApprovalSubject, PersonalOperation] = {
    "export": "approval.decide_export",
    "erasure": "approval.decide_erasure",
}


class DecideApproval(Struct, frozen=True):
    """Grant an approval, or refuse it. Refused to people without the role for its subject, to who asked for it and to whom it
    is about."""

    approval_id: ApprovalId
    grants: bool


async def await_approval(
    unit: UnitOfWork,
    subject: ApprovalSubject,
    about_id: UUID,
    *,
    four_eyes: FourEyes,
    user_id: UserId | None = None,
    summary: str = "",
) -> bool:
    """Have somebody else approve a thing first, if the deployment wants that; return whether it waits now.

    The request is recorded in the append of the command that calls this, after what that writes. `user_id` is the person whom the
    thing is about, `summary` what the other one will read of it.
    """
    if subject not in four_eyes.subjects:
        return False
    approval_id = approval_key(subject, about_id)
    events = decide.request(
        await unit.load_new(APPROVAL, approval_id),
        subject=subject,
        about_id=about_id,
        requester_id=unit.caller.user_id,
        user_id=user_id,
        summary=summary,
        reason=unit.caller.reason or "",
        now=unit.now,
        seconds=four_eyes.seconds,
    )
    unit.write(APPROVAL, approval_id, events=events)
    return True


async def require_approved(unit: UnitOfWork, subject: ApprovalSubject, about_id: UUID) -> None:
    """Raise `DomainError` while a thing waits for an approval, or if that was refused or has expired.

    What nobody was asked to approve may go on. The approval becomes a guard of the command that calls this.
    """
    decide.require_granted(await unit.load(APPROVAL, approval_key(subject, about_id)), now=unit.now)


async def decide_it(command: DecideApproval, unit: UnitOfWork) -> None:
    user_id = unit.caller.user_id
    assert user_id, "authentication lets no stranger here"
    account, found = await unit.load_all((ACCOUNT, (user_id,)), (APPROVAL, (command.approval_id,)))
    require_right(account, "approval.read")
    require_right(account, DECIDES[decide.require_known(found).subject])
    events = decide.decide(found, by=user_id, grants=command.grants, reason=unit.caller.reason or "", now=unit.now)
    unit.write(APPROVAL, command.approval_id, events=events)


HANDLERS: dict[type[Struct], Handler] = {DecideApproval: decide_it}
