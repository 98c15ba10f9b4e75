"""Time travel: what routes share that can be asked what was to be seen at a position, or through somebody else's eyes.

`as_of` is a position, or a time, which stands for the last event recorded until then. Who may see it is judged by what people may
see today. `as` is for auditors: they get the answer that this person would get; that they asked, of whom and why, is recorded
before it is answered.
"""

import re
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request
from litestar.params import Parameter
from msgspec import Meta
from msgspec.structs import replace

from domain.account import ACCOUNT
from domain.errors import AccountNotFoundError
from domain.events import Caller
from domain.ids import UserId
from domain.moments import is_in_range
from gateway.http.declarations import Admit
from gateway.http.problems import Problem, behind
from gateway.http.query_parameters import query_problem
from gateway.operations.execution import me
from gateway.routes.audit import note
from gateway.services import Services
from projections import LIVE, PAST, checkpoints
from projections.past_message_queries import Then

POSITION = re.compile(r"[0-9]{1,19}")
AS_OF_CHARS_MAX = 40
AsOf = Annotated[
    str,
    Meta(
        max_length=AS_OF_CHARS_MAX,
        description="A position, or a time with its offset (RFC 3339): the answer is what was to be seen then, by whoever may see "
        "it today. What was deleted since is a tombstone. Cursors keep it.",
        extra_json_schema={"format": "moment", "examples": ["1042", "2026-11-27T12:00:00Z"]},
    ),
]
As = Annotated[
    UUID | None,
    Parameter(query="as", description="For auditors: through whose eyes. Needs Hansard-Reason, and is recorded."),
]
Moment = Annotated[datetime, Meta(tz=True)]


class Look(msgspec.Struct, frozen=True):
    """Through whose eyes a request looks, and at what: `then` None is the present."""

    viewer_id: UserId
    then: Then | None


async def look(
    request: Request[Any, Any, Any],
    services: Services,
    caller: Caller,
    as_: UUID | None,
    as_of: str | None,
    *,
    cursor: int | None = None,
    has_cursor: bool = False,
    admit: Admit | None = None,
) -> Look:
    """Return how a request looks. `cursor`: the position in its cursor, if it has one of the past. `admit` is asked before a fault
    in `as_of` is told. Raise `DomainError` or `Problem`."""
    viewer_id = await _viewer(request, services, caller, as_)
    if as_of is None and cursor is None:
        if as_ is not None:
            raise query_problem("as", "as.without_as_of", "Looking as somebody else needs as_of.")
        return Look(viewer_id, None)
    try:
        return Look(viewer_id, Then(viewer_id, await _position(services, as_of, cursor, has_cursor)))
    except Problem:
        if admit is not None:
            await admit(services, replace(caller, user_id=viewer_id), dict(request.path_params))
        raise


async def viewer_of(request: Request[Any, Any, Any], services: Services, caller: Caller, as_: UUID | None) -> UserId:
    """Return through whose eyes a history is read, once the tables of the past are up to the record. Raise `DomainError` or
    `Problem`."""
    viewer_id = await _viewer(request, services, caller, as_)
    _require_on(services)
    await _reached(services, (await services.record.head()).position)
    return viewer_id


async def require_places(services: Services) -> None:
    """Raise `Problem` while tables of a release before are served, which do not say where rooms stood in their list."""
    if (await checkpoints.version(services.db, PAST.name) or 0) < PAST.version:
        raise behind()


async def _viewer(request: Request[Any, Any, Any], services: Services, caller: Caller, as_: UUID | None) -> UserId:
    if as_ is None:
        return me(caller)
    await note(request, services, caller)
    if (await services.command_bus.see(ACCOUNT, as_)).state is None:
        raise AccountNotFoundError
    return UserId(as_)


async def _position(services: Services, as_of: str | None, cursor: int | None, has_cursor: bool) -> int:
    """Return the position that is asked for, once the tables have reached it."""
    _require_on(services)
    if has_cursor and cursor is None:
        raise query_problem("as_of", "query.invalid", "This cursor is of the present.")
    position = cursor if cursor is not None else await _read(services, as_of or "")
    if position > (await services.record.head()).position:
        raise _beyond_head()
    await _reached(services, position)
    return position


async def _read(services: Services, as_of: str) -> int:
    if POSITION.fullmatch(as_of):
        return int(as_of)
    try:
        moment = msgspec.convert(as_of, Moment)
    except msgspec.ValidationError:
        raise query_problem(
            "as_of", "query.invalid", "This is neither a position nor a time with its offset."
        ) from None
    if not is_in_range(moment):
        raise query_problem("as_of", "query.invalid", "This time is out of range.")
    if moment > (await services.record.head()).clock:
        raise _beyond_head()
    return await services.past.position_at(moment)


async def _reached(services: Services, position: int) -> None:
    for group in (LIVE, PAST):
        if not await services.reads.wait(position, group=group.name):
            raise behind()


def _require_on(services: Services) -> None:
    if not services.policy.time_travel_on:
        raise query_problem("as_of", "as_of.off", "The past is not kept here: the operator switched time travel off.")


def _beyond_head() -> Problem:
    return query_problem("as_of", "as_of.beyond_head", "The record does not reach that far.")
