"""The page of rights, `docs/rights.md`: who may do what, by which request or frame, and what a no looks like.

Made of the tables of `domain/rights.py` and of what routes and frames declare themselves to be.
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
    """Everything that can be asked of a gateway: its routes (sockets included), and the frames of clients."""

    routes: Table
    frames: Mapping[type[ClientFrame], tuple[Operation, ...]]


INTRODUCTION = """# Rights: who may do what

Made of the tables in `domain/rights.py`, which the code asks, by `make rights`; a test fails where this page says anything
else. `hansard explain USER OPERATION TARGET` says the same of one person, and since when.

Whoever asks is held first to the table of as whom they come, then to what they are to the room, then to what they are to
the thing in it. The first no is the answer. What the state forbids to everybody (the last owner leaves, a deleted message
is edited, a version is stale) comes after. `yes`: it is done, or changes nothing.
"""
AS_WHOM = """- *nobody*: without a token; `yes` to that is the list of what is public. Some of it asks for another proof: a password, a
  refresh token, a code that was mailed.
- *ended*: the session has, however. To deactivate an account ends all of its sessions.
- *unverified*: who has not confirmed their e-mail address where `HANSARD_VERIFY_EMAIL=required`.
- `HANSARD_REGISTRATION=closed` refuses `account.register` to everybody, and settings close metrics and the schema.
"""
IN_A_ROOM = """- **unknown**: what is told of a room, message or file that is not there. Whoever is outside of a private room
  (*stranger*, *left*, *removed*, *banned*) is told the same of it, whatever their column says.
- **archived**: what is told in an archived room to whom their column says yes.
- *removed* may join a public room again, *banned* may not; to be added again lifts a ban.
- Of `room.list` a no means: the room is not in the list.
- In a room of history `joined`, members read what came since their latest joining, and others read no message at all: a list
  is empty, and a message or the file that it shows is unknown. What becomes of an older message (edit, deletion, the end of
  its file) reaches no socket of theirs, live or replayed, and to answer, edit or delete it is to name one that is unknown.
- Whoever sends once more what they posted already is told so (a duplicate), even if they are not in the room any more.
"""
OF_A_FILE = """*reader*: may read a message that shows it, in whichever room. Before it is completed nobody downloads it.
"""


def refusal_of(verdict: type[DomainError]) -> tuple[str, int, str]:
    """Return what clients see of a no: its code, HTTP's number, and the sentence."""
    refusal = verdict()
    return refusal.code, status_of(refusal), refusal.detail


def reached_by(operation: str, surface: Surface) -> list[str]:
    """Return the requests and frames that are this operation: requests first, then sockets, then frames."""
    routes = [name for name, declared in surface.routes.items() if operation in declared.operations]
    routes.sort(key=lambda name: name[0] == SOCKET)
    frames = [kind for kind, operations in surface.frames.items() if operation in operations]
    return [f"{method} {path}" for method, path in routes] + [f"frame {kind.__struct_config__.tag}" for kind in frames]


def rendered(surface: Surface) -> str:
    """Return `docs/rights.md`."""
    requests = ((name, _quoted(reached_by(name, surface))) for name in rights.OPERATIONS)
    parts = [
        INTRODUCTION,
        "## As whom one comes\n\n" + AS_WHOM,
        _table(rights.AsWhom._fields, rights.AS_WHOM),
        "## What one is to the room\n\n" + IN_A_ROOM,
        _table(rights.InRoom._fields, rights.IN_ROOM),
        "## What one is to a message\n\nFor whom the room's table lets through; who did not send it has a role.\n",
        _table(rights.OfMessage._fields, rights.OF_MESSAGE),
        "## What the other one is\n\n`member.put` gives the role member, `member.promote` one above it.\n",
        _table(rights.OfMember._fields, rights.OF_MEMBER),
        "## What one is to a file\n\n" + OF_A_FILE,
        _table(rights.OfFile._fields, rights.OF_FILE),
        "## Whose session it is\n",
        _table(rights.OfSession._fields, rights.OF_SESSION),
        "## What is asked by which request\n",
        _lines(("operation", "requests and frames"), requests),
        "## What a no looks like\n",
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
