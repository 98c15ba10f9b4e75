"""One's own webhook: a server of one's own is told what one's devices are (Standard Webhooks)."""

from typing import Annotated

from litestar import Response, delete, get, put
from litestar.handlers import BaseRouteHandler
from msgspec import Meta, Struct

from commands.own_webhook import PutOwnWebhook, RemoveOwnWebhook
from domain.bounds import ENDPOINT_CHARS_MAX
from domain.errors import EndpointRefusedError, WebhookNotFoundError
from domain.events import Caller
from domain.own_webhook import OWN_WEBHOOK
from gateway.http.declarations import Described, declare
from gateway.http.responses import shown, written
from gateway.operations.execution import execute, me
from gateway.services import Services


class OwnWebhookBody(Struct, frozen=True, forbid_unknown_fields=True):
    url: Annotated[str, Meta(max_length=ENDPOINT_CHARS_MAX, extra_json_schema={"format": "uri"})]


class OwnWebhookView(Struct, frozen=True):
    """`secret` is what requests are signed with; it is told once, when the webhook is set, and null afterwards."""

    url: str
    secret: str | None


@put(
    "/users/me/webhook",
    opt=declare("webhook.put", quotas=("pushes",), described=Described(refused_with=frozenset({401}))),
)
async def put_webhook(data: OwnWebhookBody, services: Services, caller: Caller) -> Response[OwnWebhookView]:
    """Set or replace one's webhook. Each time it gets another secret."""
    try:
        services.webhooks.require_url(data.url)
    except EndpointRefusedError:
        raise EndpointRefusedError(pointer="/url") from None
    secret = services.webhooks.new_secret()
    outcome = await execute(services, PutOwnWebhook(data.url, secret), caller)
    return written(outcome, OwnWebhookView(data.url, secret))


@get("/users/me/webhook", opt=declare("webhook.read", described=Described(refused_with=frozenset({404}))))
async def read_webhook(services: Services, caller: Caller) -> Response[OwnWebhookView]:
    """Return one's webhook."""
    found = (await services.command_bus.see(OWN_WEBHOOK, me(caller))).state
    if found is None or not found.url:
        raise WebhookNotFoundError
    return shown(OwnWebhookView(found.url, None))


@delete("/users/me/webhook", status_code=204, opt=declare("webhook.remove"))
async def remove_webhook(services: Services, caller: Caller) -> Response[None]:
    """Remove one's webhook; if there is none, nothing changes."""
    return written(await execute(services, RemoveOwnWebhook(), caller), None, status=204)


ROUTES: list[BaseRouteHandler] = [put_webhook, read_webhook, remove_webhook]
