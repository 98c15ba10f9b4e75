"""Rights of requests: which operation of `domain/rights.py` each route and each frame of a socket is.

The door opens to strangers what `PUBLIC` says, which is made of both. A route or frame that is not here fails a test
(`tests/gateway/test_rights.py`). `rendered` is the page for people, `docs/rights.md`.
"""

from collections.abc import Iterable, Mapping, Sequence

from domain import rights
from domain.errors import Refused
from domain.rights import Operation, Verdict
from gateway.http import problems
from gateway.protocol import client_frames

V1 = "/api/v1"
# With several: with the first where the request says nothing else (a room, a file, a role above member).
ROUTES: Mapping[tuple[str, str], tuple[Operation, ...]] = {
    ("POST", f"{V1}/auth/register"): ("account.register",),
    ("POST", f"{V1}/auth/login"): ("session.open",),
    ("POST", f"{V1}/auth/refresh"): ("session.refresh",),
    ("POST", f"{V1}/auth/verify-email"): ("account.verify_email",),
    ("POST", f"{V1}/auth/password/forgot"): ("password.forget",),
    ("POST", f"{V1}/auth/password/reset"): ("password.reset",),
    ("PUT", f"{V1}/auth/password"): ("password.change",),
    ("POST", f"{V1}/auth/logout"): ("session.close",),
    ("GET", f"{V1}/auth/sessions"): ("session.list",),
    ("DELETE", f"{V1}/auth/sessions/{{session_id}}"): ("session.end",),
    ("GET", f"{V1}/users/me"): ("profile.read",),
    ("PUT", f"{V1}/users/me"): ("profile.change",),
    ("GET", f"{V1}/users/{{user_id}}"): ("user.read",),
    ("GET", f"{V1}/users"): ("user.find",),
    ("GET", f"{V1}/rooms"): ("room.list",),
    ("POST", f"{V1}/rooms"): ("room.open",),
    ("GET", f"{V1}/rooms/{{room_id}}"): ("room.read",),
    ("PATCH", f"{V1}/rooms/{{room_id}}"): ("room.change",),
    ("DELETE", f"{V1}/rooms/{{room_id}}"): ("room.archive",),
    ("POST", f"{V1}/rooms/{{room_id}}/join"): ("room.join",),
    ("POST", f"{V1}/rooms/{{room_id}}/leave"): ("room.leave",),
    ("PUT", f"{V1}/rooms/{{room_id}}/read"): ("room.mark_read",),
    ("GET", f"{V1}/rooms/{{room_id}}/members"): ("member.list",),
    ("PUT", f"{V1}/rooms/{{room_id}}/members/{{user_id}}"): ("member.put", "member.promote"),
    ("DELETE", f"{V1}/rooms/{{room_id}}/members/{{user_id}}"): ("member.remove",),
    ("GET", f"{V1}/rooms/{{room_id}}/messages"): ("message.list",),
    ("POST", f"{V1}/rooms/{{room_id}}/messages"): ("message.post", "file.share"),
    ("GET", f"{V1}/messages/{{message_id}}"): ("message.read",),
    ("PATCH", f"{V1}/messages/{{message_id}}"): ("message.edit",),
    ("DELETE", f"{V1}/messages/{{message_id}}"): ("message.delete",),
    ("GET", f"{V1}/messages/{{message_id}}/history"): ("message.versions",),
    ("POST", f"{V1}/files/upload"): ("file.upload", "file.upload_for"),
    ("GET", f"{V1}/files/{{file_id}}"): ("file.read",),
    ("GET", f"{V1}/files/{{file_id}}/status"): ("file.status",),
    ("GET", f"{V1}/files/{{file_id}}/content"): ("file.download",),
    ("HEAD", f"{V1}/files/{{file_id}}/content"): ("file.download",),
    ("GET", f"{V1}/files/{{file_id}}/variants/{{name}}"): ("file.download",),
    ("HEAD", f"{V1}/files/{{file_id}}/variants/{{name}}"): ("file.download",),
    ("GET", f"{V1}/audit/events"): ("audit.read",),
    ("GET", f"{V1}/audit/events/{{position}}"): ("audit.read",),
    ("POST", f"{V1}/ws/tickets"): ("socket.open",),
    ("GET", f"{V1}/meta"): ("deployment.read",),
    ("GET", "/.well-known/jwks.json"): ("deployment.read",),
    ("GET", "/livez"): ("deployment.read",),
    ("GET", "/readyz"): ("deployment.read",),
    ("GET", "/metrics"): ("deployment.read",),
    ("GET", "/"): ("deployment.read",),
    ("GET", "/schema"): ("deployment.read",),
    ("GET", "/schema/openapi.json"): ("deployment.read",),
    ("GET", "/asyncapi.json"): ("deployment.read",),
}
# A socket shows its credentials by itself: in the handshake, or in a first frame.
SOCKETS: Mapping[str, tuple[Operation, ...]] = {
    f"{V1}/ws": ("socket.open",),
    f"{V1}/ws/{{room_id}}": ("room.hear",),
}
# Typing is told through the feed that `subscribe` began, and ends with it; so is who is present.
FRAMES: Mapping[type[client_frames.Intent], tuple[Operation, ...]] = {
    client_frames.Authenticate: ("socket.open",),
    client_frames.Subscribe: ("room.hear",),
    client_frames.Unsubscribe: ("socket.open",),
    client_frames.Send: ("message.post", "file.share"),
    client_frames.Edit: ("message.edit",),
    client_frames.Delete: ("message.delete",),
    client_frames.Read: ("room.mark_read",),
    client_frames.Typing: ("room.hear",),
    client_frames.Ping: ("socket.open",),
}
PUBLIC: frozenset[tuple[str, str]] = frozenset(
    route for route, (first, *more) in ROUTES.items() if all(map(rights.is_public, (first, *more)))
)

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


def refusal_of(verdict: type[Refused]) -> tuple[str, int, str]:
    """Return what clients see of a no: its code, HTTP's number, and the sentence."""
    refusal = verdict()
    return refusal.code, problems.status_of(refusal), refusal.detail


def reached_by(operation: str) -> list[str]:
    """Return the requests and frames that are this operation."""
    found = [f"{method} {path}" for (method, path), operations in ROUTES.items() if operation in operations]
    found += [f"WS {path}" for path, operations in SOCKETS.items() if operation in operations]
    return found + [
        f"frame {kind.__struct_config__.tag}" for kind, operations in FRAMES.items() if operation in operations
    ]


def rendered() -> str:
    """Return `docs/rights.md`."""
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
        _lines(("operation", "requests and frames"), ((name, _quoted(reached_by(name))) for name in rights.OPERATIONS)),
        "## What a no looks like\n",
        _lines(("code", "status", "sentence"), _refusals()),
    ]
    return "\n".join(parts)


def _refusals() -> list[Sequence[str]]:
    tables = (rights.AS_WHOM, rights.IN_ROOM, rights.OF_MESSAGE, rights.OF_MEMBER, rights.OF_FILE, rights.OF_SESSION)
    said = {refusal_of(cell) for table in tables for row in table for cell in row if isinstance(cell, type)}
    return [(f"`{code}`", str(status), sentence) for code, status, sentence in sorted(said)]


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
