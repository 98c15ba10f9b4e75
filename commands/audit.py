"""Audit reads: who may look at the record; and each look is recorded, as it is that the record is forwarded."""

from uuid import UUID

from msgspec import Struct

from commands.unit_of_work import Handler, UnitOfWork
from domain import audit as decide
from domain.account import ACCOUNT, require_right
from domain.audit import AUDIT_READS, FORWARDINGS, read_key
from domain.ids import UserId


class NoteAuditRead(Struct, frozen=True):
    """Record that the caller reads the record, at most once a minute for each session and filter. Refused to people without
    a role that may read it."""

    filter: str
    person: UserId | None = None


class BeginForwarding(Struct, frozen=True):
    """Record that an operator has the record forwarded: where to, what, and why (the caller's reason)."""

    forwarding_id: UUID
    destination: str
    format: str
    texts: bool
    after: int


async def note(command: NoteAuditRead, unit: UnitOfWork) -> None:
    user_id, session_id = unit.caller.user_id, unit.caller.session_id
    assert user_id and session_id, "authentication lets no stranger here"
    require_right(await unit.load(ACCOUNT, user_id), "audit.read")
    minute = int(unit.now.timestamp()) // 60
    key = read_key(session_id, command.filter, minute)
    reads = await unit.load_new(AUDIT_READS, key)
    unit.write(
        AUDIT_READS,
        key,
        events=decide.note(reads, auditor_id=user_id, filter=command.filter, minute=minute, person=command.person),
    )


async def begin_forwarding(command: BeginForwarding, unit: UnitOfWork) -> None:
    forwarding = await unit.load_new(FORWARDINGS, command.forwarding_id)
    events = decide.begin_forwarding(
        forwarding, forwarding_id=command.forwarding_id, destination=command.destination, format=command.format,
        texts=command.texts, after=command.after,
    )  # fmt: skip
    unit.write(FORWARDINGS, command.forwarding_id, events=events)


HANDLERS: dict[type[Struct], Handler] = {NoteAuditRead: note, BeginForwarding: begin_forwarding}
