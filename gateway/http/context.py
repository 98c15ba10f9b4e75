"""Context: what checking a request needs of its process."""

from typing import Any, Protocol

from litestar import Request

from domain.ids import RecordId
from domain.ports.record import Record
from gateway.http.read_your_writes import Reads

SERVICES = "services"  # where a scope's state has them


class Policy(Protocol):
    """What operators decide about bodies."""

    @property
    def password_chars_min(self) -> int: ...


class Context(Protocol):
    """The parts of a process's services that are needed to check requests."""

    @property
    def policy(self) -> Policy: ...
    @property
    def record_id(self) -> RecordId: ...
    @property
    def record(self) -> Record: ...
    @property
    def reads(self) -> Reads: ...
    @property
    def receipts_secret(self) -> bytes: ...


def context_of(request: Request[Any, Any, Any]) -> Context:
    """Return the context of a request: the services of its process."""
    context: Context = request.scope["state"][SERVICES]
    return context
