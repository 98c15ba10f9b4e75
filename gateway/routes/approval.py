"""Approvals: what waits for a second pair of eyes, and the decision of somebody who has them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.handlers import BaseRouteHandler
from litestar.params import Parameter
from msgspec import Struct

from commands.approval import DecideApproval
from domain.approval import APPROVAL, Approval, ApprovalSubject, require_known
from domain.events import Caller
from domain.ids import ApprovalId, RecordId, UserId
from gateway.http.callers import require_reason
from gateway.http.declarations import Described, declare
from gateway.http.pagination import LIMIT, Cursor, Limit, Page, Place, cursor_of, place_of
from gateway.http.responses import shown, written
from gateway.operations.execution import execute
from gateway.routes.audit import admit_auditors, note
from gateway.services import Services
from projections import approvals
from projections.approvals import ApprovalStanding


class ApprovalView(Struct, frozen=True):
    """`about_id` is the export or erasure; `user_id` whom it is about, where it is about one person. `requester_id` null: an
    operator at the command line. `reason` is that of the request."""

    id: ApprovalId
    subject: ApprovalSubject
    about_id: UUID
    state: ApprovalStanding
    requester_id: UserId | None
    user_id: UserId | None
    summary: str
    reason: str
    requested_at: datetime
    expires_at: datetime
    decider_id: UserId | None
    decision_reason: str | None
    decided_at: datetime | None


def place_at(cursor: str, record: RecordId) -> tuple[int]:
    """Return the place that a cursor of this list names."""
    place: tuple[int] = place_of(cursor, record, "approvals", tuple[Place])
    return place


@get(
    "/approvals",
    opt=declare("approval.read", admit=admit_auditors, cursor=place_at, described=Described(needs_reason=True)),
)
async def list_approvals(
    request: Request[Any, Any, Any],
    services: Services,
    caller: Caller,
    standing: Annotated[ApprovalStanding, Parameter(query="state")] = "pending",
    cursor: Cursor | None = None,
    limit: Limit = LIMIT,
) -> Response[Page[ApprovalView]]:
    """List approvals that stand so, in the order in which they were asked for."""
    await note(request, services, caller)
    place = 0 if cursor is None else place_at(cursor, services.record_id)[0]
    rows = await approvals.page(services.db, standing, now=services.now(), after=place, limit=limit + 1)
    found = await services.command_bus.read({APPROVAL.id(row.id): APPROVAL for row in rows[:limit]})
    following = cursor_of(services.record_id, "approvals", rows[limit - 1].position) if len(rows) > limit else None
    return shown(Page([_view(each.state, services.now()) for each in found.values()], following))


@get(
    "/approvals/{approval_id:uuid}",
    opt=declare(
        "approval.read", admit=admit_auditors, described=Described(needs_reason=True, refused_with=frozenset({404}))
    ),
)
async def read_approval(
    approval_id: UUID, request: Request[Any, Any, Any], services: Services, caller: Caller
) -> Response[ApprovalView]:
    """Return an approval: who asked for what and why, and who decided."""
    await note(request, services, caller)
    found = await services.command_bus.see(APPROVAL, approval_id)
    return shown(_view(require_known(found.state), services.now()))


def _deciding() -> dict[str, Any]:
    """Return what both decisions declare."""
    described = Described(needs_reason=True, refused_with=frozenset({404, 409}))
    return declare("approval.decide_export", "approval.decide_erasure", admit=admit_auditors, described=described)


@post(
    "/approvals/{approval_id:uuid}/approve",
    status_code=200,
    opt=_deciding(),
)
async def approve(approval_id: UUID, services: Services, caller: Caller) -> Response[ApprovalView]:
    """Agree to what somebody else asked for; it goes on at once."""
    return await _decide(services, caller, ApprovalId(approval_id), grants=True)


@post(
    "/approvals/{approval_id:uuid}/refuse",
    status_code=200,
    opt=_deciding(),
)
async def refuse(approval_id: UUID, services: Services, caller: Caller) -> Response[ApprovalView]:
    """Refuse what somebody else asked for; it is not done."""
    return await _decide(services, caller, ApprovalId(approval_id), grants=False)


async def _decide(
    services: Services, caller: Caller, approval_id: ApprovalId, *, grants: bool
) -> Response[ApprovalView]:
    await admit_auditors(services, caller, {})
    require_reason(caller)
    outcome = await execute(services, DecideApproval(approval_id, grants), caller)
    folded = outcome.folded(APPROVAL, approval_id)
    return written(outcome, _view(folded.state, services.now()))


def _view(approval: Approval | None, now: datetime) -> ApprovalView:
    assert approval is not None, "it was listed, or read"
    standing: ApprovalStanding = approval.state
    if standing == "pending" and now >= approval.expires_at:
        standing = "expired"
    return ApprovalView(
        approval.approval_id, approval.subject, approval.about_id, standing, approval.requester_id, approval.user_id,
        approval.summary, approval.request_reason, approval.requested_at, approval.expires_at, approval.decider_id,
        approval.decision_reason if approval.decider_id else None, approval.decided_at,
    )  # fmt: skip


ROUTES: list[BaseRouteHandler] = [list_approvals, read_approval, approve, refuse]
