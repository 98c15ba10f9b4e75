"""Answers: what stands around a body."""

from typing import Any, TypeVar

from litestar import Response

from commands.unit_of_work import Outcome
from domain.events import Caller
from gateway.services import House

Body = TypeVar("Body")


def shown(body: Body, *, version: int | None = None) -> Response[Body]:
    """Answer a read; `version` becomes the ETag."""
    return Response(body, headers={} if version is None else {"ETag": f'"{version}"'})


def written(
    house: House, caller: Caller, outcome: Outcome, body: Body, *, status: int = 200, version: int | None = None
) -> Response[Body]:
    """Answer an accepted write."""
    headers: dict[str, Any] = {"Hansard-Position": str(outcome.position)}
    if outcome.replayed:
        headers["Idempotency-Replayed"] = "true"
    if version is not None:
        headers["ETag"] = f'"{version}"'
    if caller.user_id:
        house.reads.wrote(caller.user_id, outcome.position)
    return Response(body, status_code=status, headers=headers)
