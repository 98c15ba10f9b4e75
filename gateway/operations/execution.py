"""Execution: a command is done, and its caller's next read will see what it wrote."""

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from commands.unit_of_work import Outcome
from domain.events import Caller
from domain.ids import UserId
from domain.ports.record import Receipt
from gateway.services import Services

# Does what a frame asks, and returns the reply (None: the client did not number the frame). Raises `DomainError`.
FrameHandler = Callable[[Services, Caller, Any], Awaitable[bytes | None]]


async def execute(services: Services, command: Struct, caller: Caller, receipt: Receipt | None = None) -> Outcome:
    """Have a command decided and recorded, and note its position for the caller's own reads. Raise `DomainError`."""
    outcome = await services.command_bus.do(command, caller, receipt)
    if caller.user_id:
        services.reads.wrote(caller.user_id, outcome.position)
    return outcome


def me(caller: Caller) -> UserId:
    """Return the caller's id. Only strangers have none, and authentication keeps them from the operations that call this."""
    assert caller.user_id, "authentication lets no stranger here"
    return caller.user_id
