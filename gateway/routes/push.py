"""Push subscriptions: where one's devices are told of things while no page of them is open (Web Push, UnifiedPush)."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from litestar import Response, delete, get, post
from litestar.handlers import BaseRouteHandler
from msgspec import Meta, Struct

from commands.push import ForgetPush, ReleaseEndpoint, SubscribePush, UnsubscribePush
from commands.unit_of_work import Outcome
from domain.bounds import DEVICE_CHARS_MAX, ENDPOINT_CHARS_MAX
from domain.errors import EndpointRefusedError, EndpointTakenError
from domain.events import Caller
from domain.ids import SubscriptionId
from domain.ports.channels import Gone, Later, Notice, Refused
from domain.ports.channels import Outcome as Sent
from domain.ports.record import Receipt
from domain.push import SUBSCRIPTIONS, PushSubscribed, Subscription, require_own
from domain.text import LINE_PATTERN
from gateway.http.declarations import Described, declare
from gateway.http.pagination import Page
from gateway.http.responses import shown, written
from gateway.operations.execution import execute, me
from gateway.services import Services
from projections import push
from projections.push import SubscriptionRow

TAKE_OVER_TRIES_MAX = 3
KEY_CHARS_MAX = 100


class PushKeysBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Base64url, as browsers write it: a point of P-256, and 16 bytes."""

    p256dh: Annotated[str, Meta(max_length=KEY_CHARS_MAX, extra_json_schema={"format": "p256-point"})]
    auth: Annotated[str, Meta(max_length=KEY_CHARS_MAX, extra_json_schema={"format": "push-secret"})]


class PushSubscriptionBody(
    Struct, frozen=True, forbid_unknown_fields=True, rename={"expiration_time": "expirationTime"}
):
    """What `PushSubscription.toJSON()` of a browser says, and what the device is to be called."""

    endpoint: Annotated[str, Meta(max_length=ENDPOINT_CHARS_MAX, extra_json_schema={"format": "uri"})]
    keys: PushKeysBody
    device: Annotated[str, Meta(min_length=1, max_length=DEVICE_CHARS_MAX, pattern=LINE_PATTERN)] | None = None
    expiration_time: float | None = None


class PushSubscriptionView(Struct, frozen=True):
    """`service` is the origin of the push service; `is_current`: it is of the session that asks."""

    id: SubscriptionId
    device: str | None
    service: str
    subscribed_at: datetime
    is_current: bool


class PushKeyView(Struct, frozen=True):
    """`public_key` is the `applicationServerKey` to subscribe with."""

    public_key: str


class PushTestView(Struct, frozen=True):
    """told: the push service took it. gone: it knows no such device, so the subscription has ended. later: it, or the way to
    it, is busy or broken. refused: it takes nothing from here; `reason` says with what answer."""

    outcome: Literal["told", "gone", "later", "refused"]
    reason: str | None = None


@get("/push/key", opt=declare("push.key"))
async def read_key(services: Services) -> Response[PushKeyView]:
    """Return the key of this deployment by which push services know it (VAPID); it never changes."""
    return shown(PushKeyView(services.push.public_key))


@get("/push/subscriptions", opt=declare("push.list"))
async def list_subscriptions(services: Services, caller: Caller) -> Response[Page[PushSubscriptionView]]:
    """List one's subscriptions, the newest first: all of them, on one page."""
    found = await push.live(services.db, me(caller))
    return shown(Page([_view(row, caller) for row in found], None))


@post(
    "/push/subscriptions",
    opt=declare(
        "push.subscribe",
        quotas=("pushes",),
        idempotency="receipt",
        described=Described(makes="subscription_id", answers={200: "It is subscribed already, and nothing changes."}),
    ),
)
async def subscribe(
    data: PushSubscriptionBody, services: Services, caller: Caller, receipt: Receipt | None
) -> Response[PushSubscriptionView]:
    """Subscribe this device. It belongs to the session that asks, and is told nothing more when that ends.

    One endpoint has one subscription: asked again, it keeps its id; asked by somebody else, theirs ends.
    """
    try:
        services.push.require_device(data.endpoint, data.keys.p256dh, data.keys.auth)
    except EndpointRefusedError:
        raise EndpointRefusedError(pointer="/endpoint") from None
    subscription_id = SubscriptionId(services.command_bus.new_id())
    command = SubscribePush(subscription_id, data.endpoint, data.keys.p256dh, data.keys.auth, data.device)
    outcome = await _subscribed(services, command, caller, receipt)
    recorded = outcome.recorded(PushSubscribed)
    if recorded is not None:
        return written(outcome, _view(push.row_of(recorded), caller), status=201)
    held = outcome.folded(SUBSCRIPTIONS, me(caller)).state
    same = next(each for each in (held.live if held else ()) if each.endpoint == data.endpoint)
    return written(outcome, _view(_row(same), caller), status=200)


@delete("/push/subscriptions/{subscription_id:uuid}", status_code=204, opt=declare("push.unsubscribe"))
async def unsubscribe(subscription_id: UUID, services: Services, caller: Caller) -> Response[None]:
    """End a subscription of one's own."""
    outcome = await execute(services, UnsubscribePush(SubscriptionId(subscription_id)), caller)
    return written(outcome, None, status=204)


@post("/push/subscriptions/{subscription_id:uuid}/test", status_code=200, opt=declare("push.test", quotas=("pushes",)))
async def test(subscription_id: UUID, services: Services, caller: Caller) -> Response[PushTestView]:
    """Send a message of the kind `test` to a device of one's own, and say what its push service answered."""
    found = require_own((await services.command_bus.see(SUBSCRIPTIONS, me(caller))).state, subscription_id)
    notice = Notice(
        account_id=me(caller), position=0, kind="test", room_id=None, message_id=None, actor_id=None,
        at=services.now().isoformat(),
    )  # fmt: skip
    sent = await services.push.send(found, notice)
    if isinstance(sent, Gone):
        await execute(services, ForgetPush(me(caller), found.subscription_id), caller)
    return Response(_said(sent), status_code=200)


async def _subscribed(services: Services, command: SubscribePush, caller: Caller, receipt: Receipt | None) -> Outcome:
    """Subscribe; end somebody else's subscription of the same device first, if there is one."""
    for _ in range(TAKE_OVER_TRIES_MAX - 1):
        try:
            return await execute(services, command, caller, receipt)
        except EndpointTakenError:
            await execute(services, ReleaseEndpoint(command.endpoint), caller)
    # Whoever gives up ends nobody's: of many who want it at once, somebody has it in the end.
    return await execute(services, command, caller, receipt)


def _said(sent: Sent) -> PushTestView:
    match sent:
        case Refused(reason):
            return PushTestView("refused", reason)
        case Gone():
            return PushTestView("gone")
        case Later():
            return PushTestView("later")
        case _:
            return PushTestView("told")


def _row(each: Subscription) -> SubscriptionRow:
    return SubscriptionRow(each.subscription_id, each.session_id, push.service_of(each.endpoint), each.device, each.at)


def _view(row: SubscriptionRow, caller: Caller) -> PushSubscriptionView:
    return PushSubscriptionView(row.id, row.device, row.service, row.at, row.session_id == caller.session_id)


ROUTES: list[BaseRouteHandler] = [read_key, list_subscriptions, subscribe, unsubscribe, test]
