"""Push subscriptions: a device belongs to one account and one session, and is told nothing once either has let go of it."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from adapters.clock import now
from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from commands.account import Deactivate
from domain.bounds import PUSH_SUBSCRIPTIONS_MAX
from domain.events import Caller
from domain.ids import UserId
from domain.ports.channels import Gone, Told
from domain.ports.clock import Clock
from domain.quotas import OFF, Quota
from projections import LIVE
from tests.channels.push_service import Answering, FakeDevice, PushService, push_service
from tests.channels.test_push_sender import NOTICE, SHOWN
from tests.deployments import MASTER, PASSWORD, VAPID, Gateway, Person, as_login, deployment
from tests.gateway.test_bad_input import assert_problem
from tests.gateway.test_sessions import refreshed
from workers.channels.push import PushChannel
from workers.rebuild import Rebuild

PATH = "/push/subscriptions"


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    async with push_service(VAPID.public_key) as made:
        yield made


@pytest.fixture
async def hansard(service: PushService, database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url, requests=service.client()) as made:
        yield made


def channel(hansard: Gateway, service: PushService, clock: Clock = now) -> PushChannel:
    services = hansard.services
    return PushChannel(services.command_bus, services.db, services.push, now=clock)


async def subscribed(person: Person, at: FakeDevice, status: int = 201, **fields: Any) -> dict[str, Any]:
    return dict(await person.ask("POST", PATH, status, json={**at.as_json(), **fields}))


async def again(hansard: Gateway, person: Person) -> Person:
    """Log in once more, elsewhere."""
    answer = await hansard.client().post("/auth/login", json={"email": person.email, "password": PASSWORD})
    tokens = answer.json()
    return Person(hansard.client(tokens["access_token"]), tokens)


async def told(hansard: Gateway, service: PushService, person: Person) -> int:
    """Tell all devices of a person; answers how many there were."""
    push = channel(hansard, service)
    targets = await push.targets(UUID(person.id))
    for target in targets:
        assert await push.tell(target, replace(SHOWN, account_id=UUID(person.id))) == Told()
    return len(targets)


async def test_a_device_is_subscribed_listed_tested_and_unsubscribed(hansard: Gateway, service: PushService) -> None:
    ada, device = await hansard.person(), service.device()
    key = (await ada.ask("GET", "/push/key", 200))["public_key"]
    assert key == service.public_key
    made = await subscribed(ada, device, device="telephone")
    assert made.keys() == {"id", "device", "service", "subscribed_at", "is_current"}
    assert (made["device"], made["service"], made["is_current"]) == ("telephone", service.base, True)
    other = await again(hansard, ada)
    listed = (await other.ask("GET", PATH, 200))["items"]
    assert listed == [{**made, "is_current": False}], "an endpoint is a secret of its device"
    assert await ada.ask("POST", f"{PATH}/{made['id']}/test", 200) == {"outcome": "told", "reason": None}
    assert device.received[0].said["kind"] == "test" and service.faults == []
    await other.ask("DELETE", f"{PATH}/{made['id']}", 204)
    assert (await ada.ask("GET", PATH, 200))["items"] == []
    for method, path in (("DELETE", made["id"]), ("POST", f"{made['id']}/test")):
        assert (await ada.ask(method, f"{PATH}/{path}", 404))["code"] == "push.not_found"
    assert await told(hansard, service, ada) == 0


async def test_the_same_device_again_is_the_same_subscription(hansard: Gateway, service: PushService) -> None:
    ada, device = await hansard.person(), service.device()
    made = await subscribed(ada, device)
    head = (await hansard.services.record.head()).position
    assert await subscribed(ada, device, status=200) == made
    assert (await hansard.services.record.head()).position == head
    answers = await asyncio.gather(*(subscribed(ada, device, status=200) for _ in range(5)))
    assert answers == [made] * 5
    device.auth = service.device().auth
    renewed = await subscribed(ada, device)
    assert renewed["id"] == made["id"] and len((await ada.ask("GET", PATH, 200))["items"]) == 1


async def test_a_device_that_moves_to_another_account_is_told_nothing_of_the_first(
    hansard: Gateway, service: PushService
) -> None:
    ada, ben, device = await hansard.person(), await hansard.person(), service.device()
    first = await subscribed(ada, device)
    second = await subscribed(ben, device)
    assert first["id"] != second["id"]
    assert await told(hansard, service, ada) == 0 and await told(hansard, service, ben) == 1
    assert (await ada.ask("GET", PATH, 200))["items"] == []
    people = [await hansard.person() for _ in range(4)]
    shared = service.device()
    answers = await asyncio.gather(*(each.http.post(PATH, json=shared.as_json()) for each in people))
    assert {answer.status_code for answer in answers} <= {201, 409} and 201 in {a.status_code for a in answers}
    head = (await hansard.services.record.head()).position
    assert (await ada.http.get(PATH, headers={"Hansard-After": str(head)})).status_code == 200
    assert sum([await told(hansard, service, each) for each in people]) == 1, "whoever was last has it alone"
    assert (await ben.ask("DELETE", f"{PATH}/{first['id']}", 404))["code"] == "push.not_found"


async def test_what_ends_a_session_ends_what_its_device_is_told(hansard: Gateway, service: PushService) -> None:
    async def logged_out(ada: Person, other: Person) -> None:
        await other.ask("POST", "/auth/logout", 204)

    async def revoked(ada: Person, other: Person) -> None:
        sessions = (await ada.ask("GET", "/auth/sessions", 200))["items"]
        [session] = [each["id"] for each in sessions if not each["is_current"]]
        await ada.ask("DELETE", f"/auth/sessions/{session}", 204)

    async def stolen(ada: Person, other: Person) -> None:
        assert (await refreshed(hansard, other.tokens["refresh_token"])).status_code == 200
        assert (await refreshed(hansard, other.tokens["refresh_token"])).status_code == 401

    async def password_changed(ada: Person, other: Person) -> None:
        body = {"current_password": PASSWORD, "new_password": "another horse battery"}
        await ada.ask("PUT", "/auth/password", 204, json=body)

    for ending in (logged_out, revoked, stolen, password_changed):
        ada, mine, lost = await hansard.person(), service.device(), service.device()
        other = await again(hansard, ada)
        kept = await subscribed(ada, mine)
        await subscribed(other, lost)
        assert await told(hansard, service, ada) == 2, ending
        [target] = [t for t in await channel(hansard, service).targets(UUID(ada.id)) if str(t) != kept["id"]]
        await ending(ada, other)
        assert await told(hansard, service, ada) == 1, ending
        told_late = await channel(hansard, service).tell(target, replace(SHOWN, account_id=UUID(ada.id)))
        assert told_late == Gone(), "what was under way already, too"
        assert len(lost.received) == 1 and len(mine.received) == 2, ending
        assert [each["id"] for each in (await ada.ask("GET", PATH, 200))["items"]] == [kept["id"]]
    await hansard.services.command_bus.do(Deactivate(UserId(UUID(ada.id))), Caller())
    assert await told(hansard, service, ada) == 0


async def test_rebuilt_subscriptions_are_those_that_were_served(
    hansard: Gateway, service: PushService, database_url: str
) -> None:
    ada, ben, device = await hansard.person(), await hansard.person(), service.device()
    await subscribed(ada, device, device="telephone")
    await subscribed(ben, device)
    await subscribed(ada, service.device(), device="laptop")
    await (await again(hansard, ada)).ask("GET", PATH, 200)
    operator = await Database.open(as_login(database_url, "operator"), size=4)
    record = PostgresRecord(operator, Vault(operator, MASTER), now=now, chance=os.urandom)
    verdicts = await Rebuild(LIVE, record, operator, progress=lambda progress: None).run(swap=False)
    rows = {verdict.table: verdict for verdict in verdicts}
    assert all(verdict.is_equal for verdict in verdicts) and rows["read.push_subscriptions"].is_equal
    listed = await operator.all(
        str, "SELECT service || device FROM read.push_subscriptions WHERE is_live AND device <> ''"
    )
    assert listed == [f"{service.base}laptop"]
    await operator.close()


async def test_after_a_session_has_expired_its_device_is_told_that_and_not_what(
    hansard: Gateway, service: PushService
) -> None:
    ada, device = await hansard.person(), service.device()
    await subscribed(ada, device)
    notice = replace(SHOWN, account_id=UUID(ada.id))
    for days, is_told in ((8, True), (36, True), (38, False)):
        later = channel(hansard, service, lambda days=days: now() + timedelta(days=days))  # type: ignore[misc]
        targets = await later.targets(UUID(ada.id))
        assert bool(targets) is is_told, days
        for target in targets:
            assert await later.tell(target, notice) == Told()
    said = [each.said for each in device.received]
    assert len(said) == 2 and all(
        each["room_id"] and not {"text", "room_name", "actor_name"} & each.keys() for each in said
    )


async def test_a_device_that_is_gone_is_forgotten_on_the_record(hansard: Gateway, service: PushService) -> None:
    ada, device = await hansard.person(), service.device()
    made = await subscribed(ada, device)
    await hansard.settled()
    push, target = channel(hansard, service), UUID(made["id"])
    service.answers = [Answering(410)]
    assert await push.tell(target, replace(NOTICE, account_id=UUID(ada.id))) == Gone()
    for _ in range(2):
        await push.forget(target)
    await push.forget(UUID(int=1))
    assert await push.targets(UUID(ada.id)) == []
    events = await hansard.services.record.after(0, limit=1_000)
    [ended] = [each.event for each in events if each.event.topic == "push.unsubscribed"]
    assert ended.reason == "gone"  # type: ignore[attr-defined]
    made = await subscribed(ada, device)
    service.answers = [Answering(404)]
    assert (await ada.ask("POST", f"{PATH}/{made['id']}/test", 200))["outcome"] == "gone"
    assert (await ada.ask("GET", PATH, 200))["items"] == []


async def test_a_person_has_so_many_devices_and_a_new_one_takes_the_oldest_ones_place(
    hansard: Gateway, service: PushService
) -> None:
    ada = await hansard.person()
    made = [await subscribed(ada, service.device()) for _ in range(PUSH_SUBSCRIPTIONS_MAX + 2)]
    listed = (await ada.ask("GET", PATH, 200))["items"]
    assert [each["id"] for each in listed] == [each["id"] for each in reversed(made[2:])]


async def test_what_cannot_be_told_is_refused_with_the_field(hansard: Gateway, service: PushService) -> None:
    ada, device = await hansard.person(), service.device()
    good = device.as_json()
    for body, code, pointer in (
        ({**good, "endpoint": "https://169.254.169.254/x"}, "endpoint.refused", "/endpoint"),
        ({**good, "endpoint": "http://push.example.org/x"}, "endpoint.refused", "/endpoint"),
        ({**good, "keys": {**good["keys"], "auth": "AAAA"}}, "push.keys_invalid", "/keys"),
        ({**good, "keys": {**good["keys"], "p256dh": "BA" + "A" * 85}}, "push.keys_invalid", "/keys/p256dh"),
        ({**good, "keys": {"auth": good["keys"]["auth"]}}, "field.invalid", "/keys"),
        ({**good, "device": "a\nb"}, "field.invalid", "/device"),
        ({**good, "more": 1}, "field.unknown", "/more"),
    ):  # fmt: skip
        answer = await ada.http.post(PATH, json=body)
        assert_problem(answer, 422, code)
        assert answer.json()["errors"][0]["pointer"].startswith(pointer), body
    assert (await hansard.client().post(PATH, json=good)).status_code == 401
    assert service.requests == 0


async def test_devices_and_tests_are_limited(service: PushService, database_url: str, redis_url: str) -> None:
    quotas = replace(OFF, pushes=Quota("pushes", 1, 3600, 3))
    async with deployment(database_url, redis_url, requests=service.client(), quotas=quotas) as hansard:
        ada, ben = await hansard.person(), await hansard.person()
        made = await subscribed(ada, service.device())
        for status in (200, 200, 429):
            answer = await ada.http.post(f"{PATH}/{made['id']}/test")
            assert answer.status_code == status and "RateLimit" in answer.headers
        await subscribed(ben, service.device())
