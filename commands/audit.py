"""Audit reads: who may look at the record, and that they did."""

from msgspec import Struct

from commands.unit_of_work import Handler, Work
from domain import audit as decide
from domain.account import ACCOUNT, require_right
from domain.audit import AUDIT_READS, read_key
from domain.ids import UserId


class NoteAuditRead(Struct, frozen=True):
    """Refused to a person without a role that may read the record. Nothing is recorded if this minute has such an event
    already."""

    filter: str
    person: UserId | None = None


async def note(command: NoteAuditRead, work: Work) -> None:
    user_id, session_id = work.caller.user_id, work.caller.session_id
    assert user_id and session_id, "the door lets no stranger here"
    require_right(await work.load(ACCOUNT, user_id), "audit.read")
    minute = int(work.now.timestamp()) // 60
    key = read_key(session_id, command.filter, minute)
    reads = await work.load_new(AUDIT_READS, key)
    work.write(
        AUDIT_READS,
        key,
        events=decide.note(reads, auditor_id=user_id, filter=command.filter, minute=minute, person=command.person),
    )


HANDLERS: dict[type[Struct], Handler] = {NoteAuditRead: note}
