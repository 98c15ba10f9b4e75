"""Responses: the headers around a body."""

from typing import Any, TypeVar

from litestar import MediaType, Response

from commands.unit_of_work import Outcome

Body = TypeVar("Body")


def shown(body: Body, *, version: int | None = None) -> Response[Body]:
    """Return the answer to a read. `version` becomes the ETag."""
    return Response(body, headers={} if version is None else {"ETag": f'"{version}"'})


def ready(body: bytes) -> Response[Any]:
    """Return the answer to a read whose JSON was made already."""
    return Response(body, media_type=MediaType.JSON)


def written(outcome: Outcome, body: Body, *, status: int = 200, version: int | None = None) -> Response[Body]:
    """Return the answer to an accepted write."""
    headers: dict[str, Any] = {"Hansard-Position": str(outcome.position)}
    if outcome.replayed:
        headers["Idempotency-Replayed"] = "true"
    if version is not None:
        headers["ETag"] = f'"{version}"'
    return Response(body, status_code=status, headers=headers)
