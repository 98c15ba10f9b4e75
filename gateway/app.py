"""The ASGI application: the door in front, the routes behind it, problems for every error.

`API` is the table of all routes below `/api/v1`; a feature's own table is one more line.
"""

from typing import Any

from litestar import Litestar, Request, Router
from litestar.di import Provide
from litestar.exceptions import NotFoundException
from litestar.handlers import BaseRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ASGIApp

from domain.bounds import BODY_BYTES_MAX
from domain.events import Caller
from gateway.edge.authentication import HASHING, Door
from gateway.edge.rate_limits import QUOTAS, UNLIMITED, Throttle
from gateway.edge.rights import ROUTES, SOCKETS
from gateway.edge.route_matching import SOCKET, Routes
from gateway.http import problems
from gateway.http.requests import caller_of, check, receipt_of, versions_asked
from gateway.routes import (
    account,
    audit,
    email_token,
    file,
    front_page,
    membership,
    message,
    metrics,
    operations,
    reading,
    room,
    session,
    ticket,
)
from gateway.services import House
from gateway.sockets import connection

API: list[BaseRouteHandler] = [
    *session.ROUTES,
    *email_token.ROUTES,
    *account.ROUTES,
    *room.ROUTES,
    *membership.ROUTES,
    *message.ROUTES,
    *reading.ROUTES,
    *file.ROUTES,
    *audit.ROUTES,
    *ticket.ROUTES,
    *connection.ROUTES,
]


def create_app(house: House) -> ASGIApp:
    """Return the application of one gateway process: all routes, and the door in front of them."""
    throttle = Throttle(house.limits, house.terms.quotas)
    app = application(house)
    return Door(
        app,
        Routes(app, ROUTES, HASHING, QUOTAS, UNLIMITED, ((SOCKET, path) for path in SOCKETS)),
        house.sessions,
        house.terms.origins,
        house.metrics.http,
        throttle,
        house.terms.proxies,
        house.refusals,
        house.passwords,
        tls_only=house.terms.tls_only,
    )


def application(house: House) -> Litestar:
    """Return all routes. Nobody is kept out of them here: that is the door's to do."""
    app = Litestar(
        [Router("/api/v1", route_handlers=API), *operations.ROUTES, *metrics.ROUTES, *front_page.ROUTES],
        before_request=check,
        dependencies={
            "house": Provide(lambda: house, sync_to_thread=False),
            "caller": Provide(_caller, sync_to_thread=False),
            "receipt": Provide(receipt_of),
            "if_match": Provide(_versions, sync_to_thread=False),
        },
        exception_handlers={Exception: problems.handle},
        openapi_config=_openapi(house),
        request_max_body_size=BODY_BYTES_MAX,
        logging_config=None,  # the process's own (runtime/logs.py)
        debug=False,
    )
    app.state.house = house
    return app


def _caller(request: Request[Any, Any, Any]) -> Caller:
    return caller_of(request)


def _versions(request: Request[Any, Any, Any]) -> frozenset[int] | None:
    return versions_asked(request)


def _openapi(house: House) -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Hansard",
        version=house.terms.version,
        summary="Team chat in which every change is an event on a provable record.",
        components=Components(
            security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")}
        ),
        security=[{"bearer": []}],
        use_handler_docstrings=True,
        # Litestar's own pages load what others wrote, and know nothing of HANSARD_SCHEMA: nobody comes to them.
        render_plugins=[JsonRenderPlugin()],
        openapi_router=Router(
            "/schema/of-litestar", route_handlers=[], include_in_schema=False, before_request=_nobody
        ),
    )


def _nobody(request: Request[Any, Any, Any]) -> None:
    raise NotFoundException
