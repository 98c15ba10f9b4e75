"""The page of rights, `docs/rights.md`: who may do what, by which request or frame, and what each refusal looks like.

It is made of the tables of `domain/rights.py`, and of what routes and frames declare.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from domain import rights
from domain.errors import DomainError
from domain.rights import Operation, Verdict
from gateway.edge.route_matching import SOCKET, Table
from gateway.http.error_mapping import status_of
from gateway.protocol.client_frames import ClientFrame


class Surface(NamedTuple):
    """All that clients can ask of a gateway: its routes (sockets included), and the frames of clients."""

    routes: Table
    frames: Mapping[type[ClientFrame], tuple[Operation, ...]]


INTRODUCTION = """# Rights: who may do what

`make rights` makes this page of the tables in `domain/rights.py`, which the code asks too; a test fails if they differ.
`hansard explain USER OPERATION TARGET` says the same of one person, and since when.

The tables are asked in this order: who is asking, what they are to the room, what they are to the thing in it. The first
refusal is the answer. What the state forbids to everybody (the last owner leaves, a deleted message is edited, a version is
stale) comes after them. `yes`: it is done, or changes nothing.
"""
AS_WHOM = """- *nobody*: without a token. A `yes` in this column makes an operation public; some need another proof: a password, a
  refresh token, a code that was mailed.
- *ended*: the session of the token has ended. Deactivating an account ends all its sessions.
- *unverified*: somebody who has not confirmed their e-mail address, with `HANSARD_VERIFY_EMAIL=required`.
- `HANSARD_REGISTRATION=closed` refuses `account.register` to everybody, and settings close metrics and the schema.
"""
IN_A_ROOM = """- **unknown**: the answer for a room, message or file that does not exist. Those who are outside of a private room
  (*stranger*, *left*, *removed*, *banned*) get the same answer, whatever their column says.
- **archived**: the answer in an archived room to those whose column says yes.
- *removed* may join a public room again, *banned* may not. Being added again lifts a ban.
- A refusal of `room.list` means that the room is not in the list.
- In a room with history `joined`, members read what came since they last joined. Others read no message at all: lists are
  empty, and a message or the file that it shows is unknown. Edits, deletions and the ends of files of older messages reach
  no socket of a member, live or replayed, and replying to an older message, editing or deleting it fails as if it were
  unknown.
- Sending a message again that was posted already succeeds (as a duplicate), even for somebody who has left the room.
"""
OF_A_FILE = """*reader*: may read a message that shows the file, in any room. Nobody can download it before it is completed.
"""


def refusal_of(verdict: type[DomainError]) -> tuple[str, int, str]:
    """Return what clients see of a refusal: its code, HTTP's number, and the sentence."""
    refusal = verdict()
    return refusal.code, status_of(refusal), refusal.detail


def reached_by(operation: str, surface: Surface) -> list[str]:
    """Return the requests and frames of an operation: requests first, then sockets, then frames."""
    routes = [name for name, declared in surface.routes.items() if operation in declared.operations]
    routes.sort(key=lambda name: name[0] == SOCKET)
    frames = [kind for kind, operations in surface.frames.items() if operation in operations]
    return [f"{method} {path}" for method, path in routes] + [f"frame {kind.__struct_config__.tag}" for kind in frames]


def rendered(surface: Surface) -> str:
    """Return `docs/rights.md`."""
    requests = ((name, _quoted(reached_by(name, surface))) for name in rights.OPERATIONS)
    parts = [
        INTRODUCTION,
        "## Who is asking\n\n" + AS_WHOM,
        _table(rights.AsWhom._fields, rights.AS_WHOM),
        "## What one is to the room\n\n" + IN_A_ROOM,
        _table(rights.InRoom._fields, rights.IN_ROOM),
        "## What one is to a message\n\nFor those whom the room's table allows it. Others than the sender have a role.\n",
        _table(rights.OfMessage._fields, rights.OF_MESSAGE),
        "## What the other person is\n\n`member.put` gives the role member, `member.promote` one above it.\n",
        _table(rights.OfMember._fields, rights.OF_MEMBER),
        "## What one is to a file\n\n" + OF_A_FILE,
        _table(rights.OfFile._fields, rights.OF_FILE),
        "## Whose session it is\n",
        _table(rights.OfSession._fields, rights.OF_SESSION),
        "## Operations, requests and frames\n",
        _lines(("operation", "requests and frames"), requests),
        "## What refusals look like\n",
        _lines(("code", "status", "sentence"), _refusals()),
    ]
    return "\n".join(parts)


def _refusals() -> list[Sequence[str]]:
    tables = (rights.AS_WHOM, rights.IN_ROOM, rights.OF_MESSAGE, rights.OF_MEMBER, rights.OF_FILE, rights.OF_SESSION)
    refusals = {refusal_of(cell) for table in tables for row in table for cell in row if isinstance(cell, type)}
    return [(f"`{code}`", str(status), sentence) for code, status, sentence in sorted(refusals)]


def _table(columns: Sequence[str], rows: Iterable[tuple[str | Verdict, ...]]) -> str:
    return _lines(columns, ([_cell(cell) for cell in row] for row in rows))


def _lines(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _cell(cell: str | Verdict) -> str:
    if cell is None:
        return "yes"
    return cell if isinstance(cell, str) else f"`{cell.code}`"


def _quoted(texts: Iterable[str]) -> str:
    return ", ".join(f"`{text}`" for text in texts)
