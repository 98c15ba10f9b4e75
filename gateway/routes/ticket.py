"""Tickets for sockets: browsers cannot send a header with the handshake, and a token must not stand in an address."""

from typing import Any

from litestar import Request, Response, post
from litestar.handlers import BaseRouteHandler
from msgspec import Struct

from adapters.redis.cluster_state import TICKET_SECONDS
from domain.ports.credentials import Access
from gateway.http.declarations import declare
from gateway.services import Services


class TicketView(Struct, frozen=True):
    """`ticket` goes into the socket's address (`?ticket=`), once, within `expires_in` seconds."""

    ticket: str
    expires_in: int


@post("/ws/tickets", status_code=201, opt=declare("socket.open"))
async def issue_ticket(request: Request[Any, Any, Any], services: Services) -> Response[TicketView]:
    """Give out a ticket for one socket of this session, to be opened by a page of the same origin."""
    access: Access = request.scope["state"]["access"]
    ticket = services.tickets.issue(access, request.headers.get("origin", ""), services.now())
    return Response(TicketView(ticket, TICKET_SECONDS), status_code=201)


ROUTES: list[BaseRouteHandler] = [issue_ticket]
