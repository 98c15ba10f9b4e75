"""The first frame: how a socket authenticates that showed no credentials in its handshake."""

import asyncio

from domain.errors import BadTokenError, DomainError, SessionRevokedError
from domain.ports.credentials import Access
from gateway.edge.sessions import Sessions
from gateway.protocol import close_codes, server_frames
from gateway.protocol.client_frames import AUTHENTICATE_SECONDS, Authenticate
from gateway.protocol.framing import text_frame
from gateway.protocol.parsing import BadFrameError, parse
from gateway.sockets.channel import Channel, SocketClosedError


async def authenticate(channel: Channel, sessions: Sessions) -> tuple[Access, int | None]:
    """Return what the first frame shows, and the number under which it asks for a reply.

    Any other first frame, or none in `AUTHENTICATE_SECONDS`, is refused, and the socket closed. Raise `SocketClosedError`
    then.
    """
    refused: DomainError
    try:
        async with asyncio.timeout(AUTHENTICATE_SECONDS):
            frame = parse(await channel.next_text())
        if isinstance(frame, Authenticate):
            return sessions.authenticate(frame.token), frame.id
        request, refused = frame.id, BadTokenError("The first frame authenticates.")
    except TimeoutError:
        request, refused = None, BadTokenError()
    except BadFrameError as bad:
        request, refused = bad.request, BadTokenError(bad.detail)
    except DomainError as of_token:
        request, refused = frame.id, of_token
    _refuse(channel, request, refused)
    raise SocketClosedError


def _refuse(channel: Channel, request: int | None, refused: DomainError) -> None:
    channel.note_refusal(401, refused.code, None)
    if (refusal := server_frames.refusal(request, refused.code, refused.detail, 401)) is not None:
        channel.transport.write(text_frame(refusal))
    is_revoked = isinstance(refused, SessionRevokedError)
    channel.close(close_codes.SESSION_REVOKED if is_revoked else close_codes.UNAUTHENTICATED, "authenticate first")
