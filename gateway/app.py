"""The ASGI application: authentication in front, the routes behind it, a problem for every error.

The routes know no process: its services come with each request, in the scope, so that gateways of one process share the routes,
which take longer to make than all else of a gateway. `API` is the table of all routes below `/api/v1`; a feature's own table is one more line.
"""

from functools import lru_cache
from typing import Any

from litestar import Litestar, Request, Router
from litestar.di import Provide
from litestar.exceptions import NotFoundException
from litestar.handlers import BaseRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import Scope

from domain import addresses
from domain.bounds import BODY_BYTES_MAX
from domain.events import Caller
from domain.ports.record import Receipt
from gateway.edge.authentication import Authentication
from gateway.edge.rate_limits import Throttle
from gateway.edge.route_matching import Routes, table_of
from gateway.http import error_handler
from gateway.http.callers import caller_of
from gateway.http.context import SERVICES
from gateway.http.idempotency import receipt_of
from gateway.http.requests import check, versions_asked
from gateway.protocol.client_frames import declared_operations
from gateway.routes import (
    account,
    approval,
    audit,
    audit_stream,
    deployment,
    direct,
    documents,
    email_token,
    erasure,
    export,
    file,
    front_page,
    health,
    hold,
    mail_notices,
    membership,
    message,
    message_history,
    metrics,
    notification,
    operating,
    operating_stats,
    own_webhook,
    pin,
    proof,
    push,
    reaction,
    reading,
    retention,
    room,
    room_history,
    session,
    task,
    thread,
    ticket,
    upload,
    web,
)
from gateway.services import Services
from gateway.sockets import connection
from gateway.spec.rights_page import Surface, rendered

API: list[BaseRouteHandler] = [
    *session.ROUTES,
    *email_token.ROUTES,
    *account.ROUTES,
    *erasure.ROUTES,
    *room.ROUTES,
    *room_history.ROUTES,
    *direct.ROUTES,
    *membership.ROUTES,
    *message.ROUTES,
    *message_history.ROUTES,
    *pin.ROUTES,
    *reaction.ROUTES,
    *reading.ROUTES,
    *notification.ROUTES,
    *thread.ROUTES,
    *upload.ROUTES,
    *file.ROUTES,
    *audit.ROUTES,
    *hold.ROUTES,
    *audit_stream.ROUTES,
    *approval.ROUTES,
    *retention.ROUTES,
    *export.ROUTES,
    *operating.ROUTES,
    *operating_stats.ROUTES,
    *task.ROUTES,
    *proof.ROUTES,
    *ticket.ROUTES,
    *push.ROUTES,
    *own_webhook.ROUTES,
    *mail_notices.ROUTES,
    *connection.ROUTES,
]

# What operators, machines and browsers ask of a deployment, whatever the version of the API.
UNVERSIONED: list[BaseRouteHandler] = [
    *deployment.ROUTES,
    *health.ROUTES,
    *metrics.ROUTES,
    *front_page.ROUTES,
    *web.ROUTES,
    *documents.ROUTES,
    *proof.UNVERSIONED,
]


def create_app(services: Services) -> Authentication:
    """Return the application of one gateway process: all routes, with authentication in front of them."""
    declared_operations()
    throttle = Throttle(services.limits, services.policy.quotas)
    app = routes(services.policy.version)
    return Authentication(
        app,
        Routes(app, addresses.IN_FRAMES),
        services,
        services.sessions,
        services.policy.origins,
        services.metrics.http,
        throttle,
        services.policy.proxies,
        services.refusals,
        services.passwords,
        tls_only=services.policy.tls_only,
    )


def surface() -> Surface:
    """Return all routes and client frames with what they declare. No process is needed for that."""
    return Surface(table_of(routes("")), declared_operations())


def rights_page() -> str:
    """Return `docs/rights.md`."""
    return rendered(surface())


@lru_cache(maxsize=2)
def routes(version: str) -> Litestar:
    """Return the routes alone. Nothing here authenticates: use `create_app` to serve them."""
    return Litestar(
        [Router(addresses.API, route_handlers=API), *UNVERSIONED],
        before_request=check,
        dependencies={
            "services": Provide(_services, sync_to_thread=False),
            "caller": Provide(_caller, sync_to_thread=False),
            "receipt": Provide(_receipt),
            "if_match": Provide(_versions, sync_to_thread=False),
        },
        exception_handlers={Exception: error_handler.handle},
        openapi_config=_openapi(version),
        request_max_body_size=BODY_BYTES_MAX,
        logging_config=None,  # the process's own (runtime/logs.py)
        debug=False,
    )


# Each dependency names the one before it: Litestar has those that stand side by side awaited by a task group, and that costs
# more than all of them together.


def _services(scope: Scope) -> Services:
    services: Services = scope["state"][SERVICES]
    return services


def _caller(request: Request[Any, Any, Any], services: Services) -> Caller:
    return caller_of(request)


async def _receipt(request: Request[Any, Any, Any], caller: Caller) -> Receipt | None:
    return await receipt_of(request)


def _versions(request: Request[Any, Any, Any], caller: Caller) -> frozenset[int] | None:
    return versions_asked(request)


def _openapi(version: str) -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Hansard",
        version=version,
        summary="Team chat in which every change is an event on a provable record.",
        components=Components(
            security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")}
        ),
        security=[{"bearer": []}],
        use_handler_docstrings=True,
        # Litestar's own pages load scripts from elsewhere, and ignore HANSARD_SCHEMA: nobody reaches them.
        render_plugins=[JsonRenderPlugin()],
        openapi_router=Router(
            "/schema/of-litestar", route_handlers=[], include_in_schema=False, before_request=_nobody
        ),
    )


def _nobody(request: Request[Any, Any, Any]) -> None:
    raise NotFoundException
