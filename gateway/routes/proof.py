"""What the record proves: checkpoints, tiles and proofs (C2SP tlog-checkpoint, tlog-tiles, tlog-proof). Hashes, no texts."""

from datetime import datetime
from itertools import pairwise
from typing import Annotated
from uuid import UUID

from litestar import Response, get
from litestar.handlers import BaseRouteHandler
from litestar.params import Parameter
from msgspec import Struct

from adapters.postgres.rotations import rotations
from domain.events import Caller
from domain.ids import MessageId
from domain.key_rotation import is_of
from domain.merkle import HASH_BYTES
from domain.tiles import LEVEL_MAX, Tile, hashes_of, leaf_tile, read_path
from domain.tree_head import origin_of, tlog_proof
from gateway.http.declarations import Described, declare
from gateway.http.pagination import Place
from gateway.http.problems import Problem, not_found
from gateway.http.responses import shown
from gateway.operations.execution import me
from gateway.operations.proofs import InclusionView, base64, inclusion_view, proofs_of
from gateway.protocol.faults import FieldError
from gateway.routes.audit import admit_auditors
from gateway.routes.message_history import admit_readers
from gateway.services import Services
from projections import message_queries

TEXT = "text/plain"  # Litestar adds the character set
BYTES = "application/octet-stream"
BIGINT_MAX = (1 << 63) - 1
LENGTH = HASH_BYTES.to_bytes(2, "big")
# A record that is replaced has other tiles at the same addresses.
KEPT = {"Cache-Control": "public, max-age=3600", "Cross-Origin-Resource-Policy": "cross-origin"}
FRESH = {"Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "cross-origin"}


class KeyView(Struct, frozen=True, rename={"from_": "from"}):
    """A key that signs, or signed; `until` null: it is in use."""

    vkey: str
    from_: datetime
    until: datetime | None


class RotationView(Struct, frozen=True):
    """A statement that two keys of the record signed, and the position from which the second is in force."""

    position: int
    note: str


class KeysView(Struct, frozen=True):
    """`rotations` bind the keys to each other: who knows one of them knows all."""

    origin: str
    keys: list[KeyView]
    rotations: list[RotationView]


class ConsistencyView(Struct, frozen=True):
    first: int
    second: int
    hashes: list[str]


@get("/audit/checkpoint", opt=declare("deployment.read", described=Described(refused_with=frozenset({404}))))
async def read_checkpoint(services: Services, witnessed: bool = False) -> Response[str]:
    """Return the newest checkpoint that the notary signed (C2SP tlog-checkpoint).

    `witnessed`: the newest that enough witnesses have, with their cosignatures (C2SP tlog-cosignature).
    """
    proofs = proofs_of(services)
    return Response((await (proofs.witnessed() if witnessed else proofs.newest())).note, media_type=TEXT, headers=FRESH)


@get("/audit/proofs/inclusion", opt=declare("audit.read", admit=admit_auditors))
async def prove_inclusion(
    services: Services, caller: Caller, position: Place | None = None, size: Place | None = None
) -> Response[InclusionView]:
    """Prove that the event at a position stands in the tree of this size, by default the newest (RFC 9162, 2.1.3)."""
    await admit_auditors(services, caller, {})
    newest = (await proofs_of(services).newest()).size
    size = newest if size is None else size
    if position is None or not 0 < position <= size <= newest:
        raise _out_of_range("?position", f"position is from 1 up to size, and size at most {newest}.")
    found = await proofs_of(services).inclusion(position - 1, size)
    return shown(inclusion_view(found, position - 1, size))


@get("/audit/proofs/consistency", opt=declare("audit.read", admit=admit_auditors))
async def prove_consistency(
    services: Services,
    caller: Caller,
    from_: Annotated[Place | None, Parameter(query="from")] = None,
    to: Place | None = None,
) -> Response[ConsistencyView]:
    """Prove that the tree of one size extends that of another (RFC 9162, 2.1.4)."""
    await admit_auditors(services, caller, {})
    newest = (await proofs_of(services).newest()).size
    to = newest if to is None else to
    if from_ is None or not 0 < from_ <= to <= newest:
        raise _out_of_range("?from", f"from is from 1 up to to, and to at most {newest}.")
    return shown(ConsistencyView(from_, to, list(map(base64, await proofs_of(services).consistency(from_, to)))))


@get("/messages/{message_id:uuid}/proof", opt=declare("message.read", admit=admit_readers))
async def prove_message(message_id: UUID, services: Services, caller: Caller) -> Response[str]:
    """Return a receipt that is verified offline: that the posting of a message stands in the record (C2SP tlog-proof).

    It shows which entry stands at its position; what is in the event, whoever has the record shows.
    """
    message = await message_queries.one(services.db, me(caller), MessageId(message_id))
    proofs = proofs_of(services)
    checkpoint = await proofs.signed(message.position)
    index = message.position - 1
    found = await proofs.inclusion(index, checkpoint.size)
    proofs.require_root(checkpoint, index, found)
    return Response(
        tlog_proof(found.entry, index, found.hashes, checkpoint.note),
        media_type=TEXT,
        headers={"Content-Disposition": f'attachment; filename="{message_id}.tlog-proof"'},
    )


@get("/.well-known/hansard-keys", opt=declare("deployment.read"))
async def read_keys(services: Services) -> Response[KeysView]:
    """Return the keys of the record, as C2SP signed notes write them. Verify with one that you had before."""
    origin = origin_of(services.record_id)
    keys = await services.tiles.keys(origin)
    ends: list[datetime | None] = [later.made_at for _, later in pairwise(keys)]
    told = [KeyView(key.vkey, key.made_at, end) for key, end in zip(keys, [*ends, None], strict=False)]
    found = [each for each in await rotations(services.db, BIGINT_MAX) if is_of(each.note, origin)]
    bound = [RotationView(each.position, each.note) for each in found]
    return Response(KeysView(origin, told, bound), headers=FRESH)


@get("/tlog/checkpoint", opt=declare("deployment.read", described=Described(refused_with=frozenset({404}))))
async def read_tlog_checkpoint(services: Services) -> Response[str]:
    """Return the newest checkpoint where clients of transparency logs look for it (C2SP tlog-tiles).

    Where the operator asks for a quorum of witnesses, it is the newest that has one.
    """
    _require_tlog(services)
    proofs = proofs_of(services)
    found = await (proofs.witnessed() if services.policy.witness_quorum else proofs.newest())
    return Response(found.note, media_type=TEXT, headers=FRESH)


@get("/tlog/tile/{tile:path}", opt=declare("deployment.read", described=Described(refused_with=frozenset({404}))))
async def read_tile(tile: str, services: Services) -> Response[bytes]:
    """Return a tile (`<level>/<index>`), or a bundle of entries (`entries/<index>`); partial ones with `.p/<width>`."""
    _require_tlog(services)
    level, _, path = tile.removeprefix("/").partition("/")
    place = read_path(path)
    if place is None or not (level == "entries" or (level.isdecimal() and str(int(level)) == level)):
        raise not_found()
    number, width = place
    at = 0 if level == "entries" else int(level)
    if at > LEVEL_MAX or number >= 1 << 55:
        raise not_found()
    hashes = (await services.tiles.tiles([Tile(at, number)])).get(Tile(at, number), b"")[: width * HASH_BYTES]
    if len(hashes) < width * HASH_BYTES:
        raise not_found()
    if level == "entries":
        hashes = b"".join(LENGTH + entry for entry in hashes_of(hashes))
    elif at == 0:
        hashes = leaf_tile(hashes)
    return Response(hashes, media_type=BYTES, headers=KEPT)


def _require_tlog(services: Services) -> None:
    if not services.policy.tlog_on:
        raise not_found()


def _out_of_range(pointer: str, detail: str) -> Problem:
    return Problem(422, "audit.out_of_range", detail, errors=[FieldError(pointer, "audit.out_of_range", detail)])


ROUTES: list[BaseRouteHandler] = [read_checkpoint, prove_inclusion, prove_consistency, prove_message]
UNVERSIONED: list[BaseRouteHandler] = [read_keys, read_tlog_checkpoint, read_tile]
