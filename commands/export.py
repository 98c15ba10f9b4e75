"""Exports: asked for and cancelled by people with a role for it; what becomes of them is noted by the worker that makes them."""

from uuid import UUID

from msgspec import Struct

from commands.approval import await_approval, require_approved
from commands.unit_of_work import Handler, UnitOfWork
from domain import export as decide
from domain.account import ACCOUNT, require_right
from domain.approval import FourEyes
from domain.export import EXPORT, ExportFault, ExportRequested


class RequestExport(Struct, frozen=True):
    """Ask for an export, in the caller's name. Refused to people without a role for it. Where the deployment wants four eyes, it
    waits for somebody else's approval; of one person's messages not for that person's."""

    requested: ExportRequested
    four_eyes: FourEyes = FourEyes()


class BeginExport(Struct, frozen=True):
    """By the worker that is to make it. Refused while it waits for an approval, and if there will be none."""

    export_id: UUID


class CancelExport(Struct, frozen=True):
    export_id: UUID


class CompleteExport(Struct, frozen=True):
    """By the worker that made it."""

    export_id: UUID
    sha256: str
    content_sha256: str
    size_bytes: int
    messages: int
    erased: int


class FailExport(Struct, frozen=True):
    """By the worker that could not make it."""

    export_id: UUID
    fault: ExportFault


class ExpireExport(Struct, frozen=True):
    """By the worker that removes packages whose time is over."""

    export_id: UUID


async def request(command: RequestExport, unit: UnitOfWork) -> None:
    user_id, requested = unit.caller.user_id, command.requested
    assert user_id == requested.requested_by, "somebody asks in their own name"
    require_right(await unit.load(ACCOUNT, user_id), "export.request")
    export = await unit.load_new(EXPORT, requested.export_id)
    unit.write(EXPORT, requested.export_id, events=decide.request(export, requested))
    about = requested.actors[0] if len(requested.actors) == 1 else None
    await await_approval(
        unit, "export", requested.export_id, four_eyes=command.four_eyes, user_id=about, summary=summary_of(requested)
    )


def summary_of(requested: ExportRequested) -> str:
    """Return what somebody who is asked to approve reads of it."""
    rooms = f"{len(requested.rooms)} rooms" if requested.rooms else "all rooms"
    actors = f"{len(requested.actors)} people" if requested.actors else "everybody"
    sealed = "encrypted" if requested.recipient else "not encrypted"
    formats = ", ".join(requested.formats)
    return f"Positions {requested.after + 1} to {requested.until}, {rooms}, {actors}, as {formats}, {sealed}"


async def begin(command: BeginExport, unit: UnitOfWork) -> None:
    decide.require_known(await unit.load(EXPORT, command.export_id))
    await require_approved(unit, "export", command.export_id)


async def cancel(command: CancelExport, unit: UnitOfWork) -> None:
    user_id = unit.caller.user_id
    assert user_id, "authentication lets no stranger here"
    require_right(await unit.load(ACCOUNT, user_id), "export.request")
    export = await unit.load(EXPORT, command.export_id)
    events = decide.cancel(export, export_id=command.export_id, by=user_id)
    unit.write(EXPORT, command.export_id, events=events)


async def complete(command: CompleteExport, unit: UnitOfWork) -> None:
    export, made = await unit.load(EXPORT, command.export_id), command
    events = decide.complete(
        export, export_id=made.export_id, sha256=made.sha256, content_sha256=made.content_sha256,
        size_bytes=made.size_bytes, messages=made.messages, erased=made.erased,
    )  # fmt: skip
    unit.write(EXPORT, command.export_id, events=events)


async def fail(command: FailExport, unit: UnitOfWork) -> None:
    export = await unit.load(EXPORT, command.export_id)
    events = decide.fail(export, export_id=command.export_id, fault=command.fault)
    unit.write(EXPORT, command.export_id, events=events)


async def expire(command: ExpireExport, unit: UnitOfWork) -> None:
    export = await unit.load(EXPORT, command.export_id)
    unit.write(EXPORT, command.export_id, events=decide.expire(export, export_id=command.export_id))


HANDLERS: dict[type[Struct], Handler] = {
    RequestExport: request, BeginExport: begin, CancelExport: cancel, CompleteExport: complete, FailExport: fail, ExpireExport: expire,
}  # fmt: skip
