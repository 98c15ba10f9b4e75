"""Legal holds over HTTP: who may place and see them, that each request says why, and what is recorded of it."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from commands.account import GrantRole
from domain.account import AccountRole
from domain.events import Caller
from domain.ids import UserId
from tests.deployments import Gateway, Person, deployment

WHY = {"Hansard-Reason": "Smith v. Acme, order of 12 May"}


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def officer(hansard: Gateway, role: AccountRole = "records_manager") -> Person:
    someone = await hansard.person()
    await hansard.services.command_bus.do(GrantRole(UserId(UUID(someone.id)), role), Caller())
    return someone


async def test_a_hold_is_placed_listed_and_released(hansard: Gateway) -> None:
    manager, auditor, ada = await officer(hansard), await officer(hansard, "auditor"), await hansard.person()
    room_id = await ada.room()
    body = {
        "name": "Smith v. Acme", "persons": [ada.id, ada.id], "rooms": [room_id],
        "from": "2026-01-01T00:00:00Z", "to": "2026-07-01T00:00:00Z",
    }  # fmt: skip
    placed = await manager.http.post("/legal-holds", json=body, headers=WHY)
    assert placed.status_code == 201, placed.text
    hold = placed.json()
    assert (hold["name"], hold["persons"], hold["rooms"]) == ("Smith v. Acme", [ada.id], [room_id])
    assert (hold["from"], hold["to"], hold["placed_by"]) == ("2026-01-01T00:00:00Z", "2026-07-01T00:00:00Z", manager.id)
    seen = {**WHY, "Hansard-After": placed.headers["Hansard-Position"]}
    assert (await auditor.ask("GET", "/legal-holds", 200, headers=seen))["items"] == [hold]
    assert await auditor.ask("GET", f"/legal-holds/{hold['id']}", 200, headers=WHY) == hold
    released = await manager.http.post(f"/legal-holds/{hold['id']}/release", headers=WHY)
    again = await manager.http.post(f"/legal-holds/{hold['id']}/release", headers=WHY)
    assert released.status_code == again.status_code == 200 and released.json() == again.json()
    assert released.json()["keeps_until"] > released.json()["released_at"]
    seen = {**WHY, "Hansard-After": released.headers["Hansard-Position"]}
    assert (await auditor.ask("GET", "/legal-holds?status=active", 200, headers=seen))["items"] == []
    [after] = (await auditor.ask("GET", "/legal-holds?status=released", 200, headers=WHY))["items"]
    assert (after["released_by"], after["released_at"]) == (manager.id, released.json()["released_at"])


async def test_whoever_may_not_hears_so_and_everybody_says_why(hansard: Gateway) -> None:
    manager, auditor, ada = await officer(hansard), await officer(hansard, "auditor"), await hansard.person()
    body = {"name": "Matter"}
    for who, status in ((ada, 403), (auditor, 403), (manager, 201)):
        await who.ask("POST", "/legal-holds", status, json=body, headers=WHY)
    await ada.ask("GET", "/legal-holds", 403, headers=WHY)
    for method, path, content in (
        ("POST", "/legal-holds", body),
        ("GET", "/legal-holds", None),
        ("POST", f"/legal-holds/{uuid4()}/release", None),
    ):
        refused = await manager.http.request(method, path, json=content)
        assert (refused.status_code, refused.json()["code"]) == (422, "reason.missing")
    unknown = await manager.http.post(f"/legal-holds/{uuid4()}/release", headers=WHY)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "hold.not_found")


async def test_a_hold_and_every_look_at_holds_is_on_the_record_with_who_and_why(hansard: Gateway) -> None:
    manager, auditor = await officer(hansard), await officer(hansard, "auditor")
    placed = await manager.http.post("/legal-holds", json={"name": "Matter"}, headers=WHY)
    await auditor.ask("GET", "/legal-holds", 200, headers={"Hansard-Reason": "yearly review"})
    entries = (await auditor.ask("GET", f"/audit/events?actor={manager.id}&type=hold.placed", 200, headers=WHY))[
        "items"
    ]
    [entry] = entries
    assert (entry["data"]["name"], entry["reason"]) == ("Matter", WHY["Hansard-Reason"])
    assert entry["position"] == int(placed.headers["Hansard-Position"])
    reads = (await auditor.ask("GET", f"/audit/events?actor={auditor.id}&type=audit.read", 200, headers=WHY))["items"]
    assert ("/api/v1/legal-holds", "yearly review") in [(each["data"]["filter"], each["reason"]) for each in reads]
