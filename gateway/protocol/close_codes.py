"""Close codes: why a socket is closed, and whether its client may come back."""

from typing import NamedTuple

GOING_AWAY, TOO_SLOW, TOO_MANY_FRAMES, UNAUTHENTICATED, DRAINING, TOO_MANY_SOCKETS = 4000, 4008, 4013, 4401, 4410, 4414
BAD_PROTOCOL, SESSION_REVOKED, REMOVED, NO_ROOM = 4500, 4501, 4502, 4505
NOT_UTF8, FRAME_TOO_LARGE = 1007, 1009


class CloseCode(NamedTuple):
    """Why a socket is closed, and whether the client may come back (with backoff, and `after`)."""

    number: int
    name: str
    sentence: str
    comes_back: bool


CLOSE_CODES = (
    CloseCode(FRAME_TOO_LARGE, "frame too large", "A frame has at most 128 KiB.", False),
    CloseCode(NOT_UTF8, "not UTF-8", "Frames are UTF-8.", False),
    CloseCode(GOING_AWAY, "going away", "The server stops, or gave the connection up.", True),
    CloseCode(TOO_SLOW, "too slow", "Nothing was read for 30 s, or too much waited: resume from what was read.", True),
    CloseCode(TOO_MANY_FRAMES, "too many requests", "Frames came faster than a socket may say them.", True),
    CloseCode(UNAUTHENTICATED, "token missing or expired", "Come back with a fresh token.", True),
    CloseCode(DRAINING, "draining", "This server is replaced: another one takes over.", True),
    CloseCode(
        TOO_MANY_SOCKETS, "too many connections", "This account or address has as many sockets as it may have.", True
    ),
    CloseCode(BAD_PROTOCOL, "bad protocol", "A frame was no JSON object, or faulty and without a readable id.", False),
    CloseCode(SESSION_REVOKED, "session revoked", "The session has ended: log in again.", False),
    CloseCode(REMOVED, "removed from the room", "On `/ws/{room_id}`: the caller is no longer in it.", False),
    CloseCode(NO_ROOM, "room unknown or not yours", "On `/ws/{room_id}`: there is no such room for the caller.", False),
)
