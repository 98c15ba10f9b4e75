"""What this deployment is, and the public keys of its tokens."""

from importlib.metadata import version

from litestar import Response, get
from litestar.handlers import BaseRouteHandler
from msgspec import Struct

from domain import bounds
from domain.ids import RecordId
from gateway.http.declarations import declare
from gateway.http.responses import shown
from gateway.services import Services

FEATURE_LEVEL = 3


class MetaView(Struct, frozen=True):
    record: RecordId
    position: int
    feature_level: int
    version: str
    limits: dict[str, int]


LIMITS = {
    "message_chars_max": bounds.MESSAGE_CHARS_MAX,
    "room_name_chars_max": bounds.ROOM_NAME_CHARS_MAX,
    "username_chars_max": bounds.USERNAME_CHARS_MAX,
    "body_bytes_max": bounds.BODY_BYTES_MAX,
    "frame_bytes_max": bounds.FRAME_BYTES_MAX,
    "page_items_max": bounds.PAGE_ITEMS_MAX,
    "subscriptions_max": bounds.SUBSCRIPTIONS_MAX,
}


@get("/api/v1/meta", opt=declare("deployment.read"))
async def read_meta(services: Services) -> Response[MetaView]:
    """Return what this deployment is and where its record stands."""
    head = await services.record.head()
    limits = {**LIMITS, "upload_bytes_max": services.policy.upload_bytes_max}
    return shown(MetaView(head.record, head.position, FEATURE_LEVEL, services.policy.version, limits))


@get("/.well-known/jwks.json", opt=declare("deployment.read"))
async def read_jwks(services: Services) -> Response[dict[str, list[dict[str, str]]]]:
    """Return the public keys of access tokens (RFC 7517)."""
    return Response(services.tokens.jwks(services.now()), headers={"Cache-Control": "public, max-age=300"})


def our_version() -> str:
    """Return the version of the installed distribution."""
    return version("hansard")


ROUTES: list[BaseRouteHandler] = [read_meta, read_jwks]
