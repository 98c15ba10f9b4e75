"""Push messages as a push service gets them, and what its answers mean."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from adapters.clock import now
from adapters.outbound.answers import Answer
from adapters.outbound.notice_bodies import body_of
from adapters.outbound.outcomes import LATER_SECONDS, LATER_SECONDS_MAX, outcome_of
from adapters.push.sender import TEXT_BYTES_MAX, PushSender
from domain.ports.channels import Gone, Later, Notice, Outcome, Refused, Told
from tests.channels.push_service import Answering, PushService, push_service
from tests.deployments import VAPID

ROOM, OTHER_ROOM, ACCOUNT = [UUID(int=n) for n in (7, 8, 9)]
NOTICE = Notice(
    account_id=ACCOUNT, position=42, kind="mention", room_id=ROOM, message_id=UUID(int=10), actor_id=UUID(int=11), thread_id=UUID(int=12),
    at="2026-11-27T12:00:00.000000Z", count=3,
)  # fmt: skip
SHOWN = replace(NOTICE, room_name="Foyer", actor_name="ada", text="shall we?")


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    async with push_service(VAPID.public_key) as made:
        yield made


@pytest.fixture
async def sender(service: PushService) -> AsyncIterator[PushSender]:
    requests = service.client()
    yield PushSender(requests, VAPID, topics_secret=b"a secret for tests", now=now)
    await requests.close()


async def test_a_device_gets_ids_and_no_content_unless_that_is_shown(service: PushService, sender: PushSender) -> None:
    device = service.device()
    assert await sender.send(device, NOTICE) == Told()
    assert await sender.send(device, SHOWN) == Told()
    hidden, shown = device.received
    assert hidden.said == {
        "type": "notification", "user_id": str(ACCOUNT), "kind": "mention", "position": 42, "count": 3,
        "at": "2026-11-27T12:00:00.000000Z", "room_id": str(ROOM), "message_id": str(UUID(int=10)),
        "actor_id": str(UUID(int=11)), "thread_id": str(UUID(int=12)),
    }  # fmt: skip
    assert shown.said == {**hidden.said, "room_name": "Foyer", "actor_name": "ada", "text": "shall we?"}
    assert (hidden.headers["TTL"], hidden.headers["Urgency"]) == ("86400", "high")
    assert hidden.claims["sub"] == "mailto:operator@example.com" and service.faults == []


async def test_what_a_message_says_cannot_be_told_from_its_length(service: PushService, sender: PushSender) -> None:
    device = service.device()
    texts = ["", "x", "x" * 500, "x" * 10_000, "👩‍👩‍👧‍👦" * 1_000, '"\\\n' * 3_000]
    for text in texts:
        assert await sender.send(device, replace(SHOWN, text=text)) == Told()
    assert {len(each.body) for each in device.received} == {3_175}
    assert [each.said["text"] for each in device.received[:3]] == texts[:3]
    for text, each in zip(texts[3:], device.received[3:], strict=True):
        assert each.said["text"].endswith("…") and text.startswith(each.said["text"][:-1])
        assert TEXT_BYTES_MAX - 16 < len(each.text) <= TEXT_BYTES_MAX


def test_names_that_leave_no_room_are_left_out() -> None:
    body = body_of(replace(SHOWN, room_name="r" * 500, text="x" * 500), bytes_max=400)
    assert len(body) <= 400 and b"Foyer" not in body and b'"position":42' in body


async def test_the_newest_of_a_room_replaces_and_nobody_can_put_two_devices_together(
    service: PushService, sender: PushSender
) -> None:
    device, other = service.device(), service.device()
    for notice in (
        NOTICE,
        replace(SHOWN, position=43),
        replace(NOTICE, room_id=OTHER_ROOM),
        replace(NOTICE, room_id=None),
    ):
        await sender.send(device, notice)
    await sender.send(other, NOTICE)
    first, second, elsewhere, nowhere = (each.headers["Topic"] for each in device.received)
    assert first == second and len({first, elsewhere, nowhere, other.received[0].headers["Topic"]}) == 4
    tokens = {each.headers["Authorization"] for each in (*device.received, *other.received)}
    assert len(tokens) == 1, "one token serves a push service for hours"


@pytest.mark.parametrize(
    ("answering", "outcome"),
    [
        (Answering(201), Told()), (Answering(200), Told()), (Answering(202), Told()), (Answering(204), Told()),
        (Answering(404), Gone()), (Answering(410), Gone()),
        (Answering(429, {"Retry-After": "120"}), Later(120.0)), (Answering(503, {"Retry-After": "7"}), Later(7.0)),
        (Answering(500), Later(LATER_SECONDS)), (Answering(502), Later(LATER_SECONDS)), (Answering(429), Later(LATER_SECONDS)),
        (Answering(how="cut"), Later(LATER_SECONDS)), (Answering(307, {"Location": "https://127.0.0.1/x"}), Refused("answered 307")),
        (Answering(400), Refused("answered 400")), (Answering(401), Refused("answered 401")), (Answering(413), Refused("answered 413")),
    ],
)  # fmt: skip
async def test_what_the_answer_of_a_push_service_means(
    service: PushService, sender: PushSender, answering: Answering, outcome: Outcome
) -> None:
    service.answers = [answering]
    assert await sender.send(service.device(), NOTICE) == outcome
    assert service.requests == 1, "it is sent once"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 1.0), ("999999999999", LATER_SECONDS_MAX), ("-5", LATER_SECONDS), ("soon", LATER_SECONDS), ("", LATER_SECONDS),
        ("²", LATER_SECONDS), ("Fri, 99 Nov 2026 12:00:00 GMT", LATER_SECONDS),
    ],
)  # fmt: skip
def test_whatever_retry_after_says_the_wait_has_bounds(header: str, seconds: float) -> None:
    assert outcome_of(Answer(503, header, b""), now=now()) == Later(seconds)


def test_retry_after_may_be_a_date() -> None:
    at = datetime(2026, 11, 27, 12, tzinfo=UTC)
    for later, seconds in ((300, 300.0), (-300, 1.0), (10**6, LATER_SECONDS_MAX)):
        said = format_datetime(at + timedelta(seconds=later), usegmt=True)
        assert outcome_of(Answer(429, said, b""), now=at) == Later(seconds)


async def test_a_device_inside_the_house_or_with_keys_of_nothing_is_refused(service: PushService) -> None:
    from adapters.outbound.public_addresses import Reachable
    from adapters.outbound.requests import OutboundRequests

    requests = OutboundRequests.open(Reachable(), trust=service.trust)
    outside = PushSender(requests, VAPID, topics_secret=b"x", now=now)
    device: Any = service.device()
    assert await outside.send(device, NOTICE) == Refused("not a public address")
    device.auth = str(uuid4())
    assert await outside.send(device, NOTICE) == Refused("keys of another kind")
    assert service.requests == 0
    await requests.close()
