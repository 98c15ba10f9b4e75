"""Erasure: asking for one's own or, for admins, somebody else's, and how far one is. A worker does it (`workers/erasing.py`).

The id of an erasure is the secret that reads it, since whoever is erased can log in no more. Its certificate is the event that
completed it: with the row that was hashed and a proof, anybody can verify that the record says so (docs/erasure.md).
"""

from base64 import b64encode
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.handlers import BaseRouteHandler
from msgspec import Meta, Struct

from adapters.postgres.event_entries import row_at
from adapters.postgres.key_destruction import live_keys
from commands.erasure import RequestErasure, sealed_by
from commands.held import holding
from commands.unit_of_work import UnitOfWork
from domain.account import ACCOUNT, require_active, require_right
from domain.bounds import PASSWORD_BYTES_MAX
from domain.erasure import ERASURE, ErasureCompleted, ErasureNotFoundError, Unreached
from domain.errors import WrongPasswordError
from domain.events import Caller
from domain.ids import UserId
from domain.leaf import encoded
from domain.quotas import of_session
from domain.session import SessionEnded
from domain.tree_head import tlog_proof
from gateway.edge import rate_limits
from gateway.http.callers import require_reason
from gateway.http.declarations import Described, declare
from gateway.http.responses import shown, written
from gateway.operations.execution import execute, me
from gateway.operations.passwords import matching_form
from gateway.operations.proofs import NothingSignedError, NotSignedYetError, ProofUnavailableError, proofs_of
from gateway.services import Services
from projections import erasures

Status = Literal["running", "waiting", "completed", "cancelled"]
# What an erasure cannot reach, for the person who reads the certificate.
UNREACHED: dict[Unreached, str] = {
    "backups": "Backups that were made before. They hold your data until they are deleted, and can be read only with the keys.",
    "exports": "Exports that were handed out before.",
    "logs_elsewhere": "Logs and archives that were taken out of this server.",
    "others_words": "What other people wrote, also where they quote or name you.",
    "plain_facts": "That an account without a name did things at certain times, and the names of rooms.",
    "receivers": "Mails, notifications and webhooks that were sent, and what other people's devices keep.",
}


class EraseMeBody(Struct, frozen=True, forbid_unknown_fields=True):
    password: Annotated[str, Meta(max_length=PASSWORD_BYTES_MAX)]


class ErasureAsked(Struct, frozen=True):
    """`erasure_id` is the secret that reads how it goes. It waits while legal holds keep something (`held_by`), or, if there is
    none, for somebody else's approval."""

    erasure_id: UUID
    status: Status
    held_by: list[UUID]


class UnreachedView(Struct, frozen=True):
    code: Unreached
    detail: str


class Certificate(Struct, frozen=True):
    """What was erased: how many messages, files, reactions and data keys there were; all of them are. `hold_ids` are legal
    holds that delayed it. `wrapping` is the version of the wrapping key that copies of the data keys elsewhere still need.

    `row` is the event, in Base64, as the record hashes it; `proof` (C2SP tlog-proof) shows that it stands in a tree that the
    notary signed. Null: that is still to come.
    """

    messages: int
    files: int
    reactions: int
    keys: int
    hold_ids: list[UUID]
    wrapping: int | None
    unreached: list[UnreachedView]
    position: int
    row: str
    proof: str | None


class ErasureView(Struct, frozen=True):
    erasure_id: UUID
    status: Status
    held_by: list[UUID]
    requested_at: datetime
    completed_at: datetime | None
    certificate: Certificate | None


async def admit_admins(services: Services, caller: Caller, path: dict[str, Any]) -> None:
    """Raise `DomainError` if the caller may erase nobody else, according to the record."""

    async def probe(unit: UnitOfWork) -> None:
        require_right(await unit.load(ACCOUNT, me(caller)), "account.erase_other")

    await services.command_bus.admit(probe, caller)


@delete("/users/me", status_code=202, opt=declare("account.erase", hashes_password=True))
async def erase_me(
    request: Request[Any, Any, Any], data: EraseMeBody, services: Services, caller: Caller
) -> Response[ErasureAsked]:
    """Erase oneself, for ever: all sessions end at once. A wrong password counts as a wrong one of a log-in does, by session."""
    assert caller.user_id and caller.session_id, "authentication lets no stranger here"
    account = require_active((await services.command_bus.see(ACCOUNT, caller.user_id)).state)
    whose, guesses = of_session(caller.session_id), services.policy.quotas.wrong_passwords
    await rate_limits.take(services.limits, request.scope, whose, guesses)
    if await matching_form(services, data.password, account.password_hash, account.email, caller) is None:
        raise WrongPasswordError(pointer="/password")
    await services.limits.give_back(whose, guesses)
    return await _request(services, caller, caller.user_id, account.password_hash)


@post(
    "/users/{user_id:uuid}/erasure",
    status_code=202,
    opt=declare("account.erase_other", admit=admit_admins, described=Described(needs_reason=True)),
)
async def erase_user(user_id: UUID, services: Services, caller: Caller) -> Response[ErasureAsked]:
    """Erase somebody on request. Again, it is the same erasure."""
    await admit_admins(services, caller, {})
    require_reason(caller)
    return await _request(services, caller, UserId(user_id), None)


@get(
    "/erasures/{erasure_id:uuid}",
    opt=declare("erasure.read", reads=("live",), described=Described(refused_with=frozenset({404}))),
)
async def read_erasure(erasure_id: UUID, services: Services) -> Response[ErasureView]:
    """Return how far an erasure is, and its certificate once it is completed. Whoever knows the id may ask."""
    found = await erasures.one(services.db, erasure_id)
    if found is None:
        raise ErasureNotFoundError
    status: Status = "running"
    if found.completed_at or found.is_cancelled:
        status = "completed" if found.completed_at else "cancelled"
    elif found.hold_ids or found.awaits_approval:
        status = "waiting"
    certificate = None if found.completed_position is None else await _certificate(services, found.completed_position)
    return shown(ErasureView(erasure_id, status, found.hold_ids, found.requested_at, found.completed_at, certificate))


async def _request(
    services: Services, caller: Caller, user_id: UserId, seen_hash: str | None
) -> Response[ErasureAsked]:
    command = RequestErasure(user_id, services.command_bus.new_id(), seen_hash, services.policy.four_eyes)
    outcome = await execute(services, command, caller)
    for recorded in outcome.events:
        if isinstance(recorded.event, SessionEnded):
            services.sessions.end(recorded.event.session_id)
    erasure = outcome.folded(ERASURE, user_id).state
    assert erasure is not None, "it was requested now or before"
    held_by = list(erasure.held_by) if erasure.completed_at else await _holds_on(services, user_id)
    waits = held_by or erasure.awaits_approval
    status: Status = "completed" if erasure.completed_at else "waiting" if waits else "running"
    return written(outcome, ErasureAsked(erasure.erasure_id, status, held_by), status=202)


async def _holds_on(services: Services, user_id: UserId) -> list[UUID]:
    """Return the holds, and policies by their rooms, that keep anything that a key of this person seals, or the person."""
    keys = await live_keys(services.db, user_id)
    holds = await holding(services.command_bus, {key.room_id for key in keys if key.room_id is not None})
    held = holds.on(user_id, [None], None, None)
    for key in keys:
        sealed = sealed_by(key.key_id, key.room_id, key.day)
        held |= holds.on(user_id, sealed.rooms, sealed.since, sealed.until)
    return sorted(held)


async def _certificate(services: Services, position: int) -> Certificate:
    row = await row_at(services.db, position)
    assert row is not None, "the tables say where it stands"
    event = msgspec.json.decode(row.data, type=ErasureCompleted)
    return Certificate(
        event.messages, event.files, event.reactions, event.keys, list(event.hold_ids), event.wrapping,
        [UnreachedView(code, UNREACHED[code]) for code in event.unreached], position, b64encode(encoded(row)).decode(),
        await _proof(services, position),
    )  # fmt: skip


async def _proof(services: Services, position: int) -> str | None:
    """Return the proof that an event stands in the signed tree; None where the notary has not come to it."""
    proofs, index = proofs_of(services), position - 1
    try:
        checkpoint = await proofs.signed(position)
        found = await proofs.inclusion(index, checkpoint.size)
        proofs.require_root(checkpoint, index, found)
    except (NothingSignedError, NotSignedYetError, ProofUnavailableError):
        return None
    return tlog_proof(found.entry, index, found.hashes, checkpoint.note)


ROUTES: list[BaseRouteHandler] = [erase_me, erase_user, read_erasure]
