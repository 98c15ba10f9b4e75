"""Times at the ends of the calendar: refused wherever somebody names one, and never recorded."""

import pytest

from tests.gateway.test_approvals import WHY, Desk, desk  # noqa: F401

FAR = ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59Z")
NEAR = ("0001-01-04T14:00:00+14:00", "9999-12-27T10:00:00-14:00")


@pytest.mark.parametrize("end", ["from", "to"])
async def test_a_time_that_no_table_takes_is_refused_and_not_recorded(desk: Desk, end: str) -> None:  # noqa: F811
    services = desk.hansard.services
    for far in FAR:
        hold = await desk.keeper.ask("POST", "/legal-holds", 422, json={"name": "matter 7", end: far}, headers=WHY)
        export = await desk.auditor.ask("POST", "/audit/exports", 422, json={"formats": ["csv"], end: far}, headers=WHY)
        assert [each["errors"][0]["pointer"] for each in (hold, export)] == [f"/{end}"] * 2
        settings = await desk.nobody.ask("PUT", "/users/me/notifications", 422, json={"dnd_until": far})
        assert settings["errors"][0]["pointer"] == "/dnd_until"
        past = await desk.nobody.http.get("/rooms", params={"as_of": far})
        assert past.status_code == 422, past.text
    placed = [
        await desk.keeper.ask("POST", "/legal-holds", 201, json={"name": "matter 7", end: near}, headers=WHY)
        for near in NEAR
    ]
    await desk.hansard.settled()
    listed = (await desk.keeper.ask("GET", "/legal-holds", 200, headers=WHY))["items"]
    assert {each["id"] for each in listed} == {each["id"] for each in placed}
    assert await services.db.all(str, "SELECT topic FROM read.parked_events") == []
