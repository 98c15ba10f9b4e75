"""What the door says of itself, and what of its refusals is recorded."""

from collections import Counter
from ipaddress import ip_network
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.ids import UserId
from domain.quotas import OFF, Quota
from domain.security import RefusalsCounted
from gateway.edge.client_address import Proxies
from gateway.edge.refusal_log import REFUSAL_LINES_MAX, Refusals
from gateway.protocol import close_codes
from tests.deployments import PASSWORD, Gateway, gateway, ledger, until
from tests.lines import line, turned_away

FEW = Quota("connects", 1, 600, 7)
LOOPBACK = (ip_network("127.0.0.0/8"),)


async def test_every_answer_says_what_a_browser_must_not_do(database_url: str, redis_url: str) -> None:
    async with gateway(database_url, redis_url) as hansard, hansard.client() as http:
        for path, status in (("/meta", 200), ("/users/me", 401), ("/auth/login", 401), (f"{hansard.base}/schema", 200)):
            headers = (answer := await http.get(path)).headers
            assert answer.status_code == status
            assert headers["x-content-type-options"] == "nosniff"
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert headers["content-security-policy"].startswith("default-src 'none'")
            assert len(headers.get_list("content-security-policy")) == 1
            assert (headers["referrer-policy"], headers["cache-control"]) == ("no-referrer", "no-store")
            assert headers["cross-origin-resource-policy"] == "same-origin"
            assert "server" not in headers and "strict-transport-security" not in headers


@pytest.mark.parametrize(("trusted", "said", "is_secure"), [
    (LOOPBACK, "https", True), (LOOPBACK, "http", False), (LOOPBACK, "https, http", False), ((), "https", False),
])  # fmt: skip
async def test_behind_tls_browsers_are_told_to_stay_there(
    database_url: str, redis_url: str, trusted: tuple[object, ...], said: str, is_secure: bool
) -> None:
    async with gateway(database_url, redis_url, proxies=Proxies(trusted)) as hansard, hansard.client() as http:  # type: ignore[arg-type]
        answer = await http.get("/meta", headers={"X-Forwarded-Proto": said})
        assert ("strict-transport-security" in answer.headers) == is_secure


async def counted(hansard: Gateway, since: int | None = None) -> dict[tuple[str, UUID | None, str | None], int]:
    """Write down what was refused, and read it from the record: what is new, or what came after a position."""
    before = (await hansard.services.record.head()).position if since is None else since
    await hansard.services.refusals.step()
    counts: Counter[tuple[str, UUID | None, str | None]] = Counter()
    for recorded in await hansard.services.record.after(before, limit=1_000):
        if isinstance(event := recorded.event, RefusalsCounted):
            counts[event.kind, event.user_id, event.address] += event.count
    return dict(counts)


async def test_refusals_are_counted_by_kind_and_by_person_or_address(database_url: str, redis_url: str) -> None:
    async with gateway(database_url, redis_url) as hansard, hansard.client() as http:
        ada = await hansard.person()
        for _ in range(3):
            await http.post("/auth/login", json={"email": ada.email, "password": "wrong wrong"})
        for _ in range(2):
            await http.get("/users/me")
        await ada.http.get("/audit/events")
        await ada.http.get("/rooms?limit=0")
        await ada.http.post("/auth/login", json={"email": ada.email, "password": PASSWORD})
        assert await counted(hansard) == {
            ("auth.bad_credentials", None, "127.0.0.1"): 3,
            ("auth.token_invalid", None, "127.0.0.1"): 2,
            ("auth.role_needed", UUID(ada.id), None): 1,
        }
        assert await counted(hansard) == {}


async def test_strangers_cannot_fill_the_record(database_url: str) -> None:
    async with ledger(database_url) as (_, record, command_bus):
        refusals = Refusals(command_bus)
        for i in range(10 * REFUSAL_LINES_MAX):
            refusals.note(401, "auth.token_invalid", None, f"address {i}")
        ada = UserId(UUID(int=7))
        refusals.note(403, "room.banned", ada, "192.0.2.7")
        assert await refusals.step() <= REFUSAL_LINES_MAX + 2
        facts = await record.after(0, limit=2 * REFUSAL_LINES_MAX)
        events = [recorded.event for recorded in facts if isinstance(recorded.event, RefusalsCounted)]
        assert sum(event.count for event in events) == 10 * REFUSAL_LINES_MAX + 1, "and none is lost"
        assert {event.address for event in events if event.count > 1} == {"others"}


async def test_refusals_of_sockets_are_counted_like_those_of_requests(database_url: str, redis_url: str) -> None:
    limits = replace(OFF, sends=Quota("sends", 1, 600, 1), frames=Quota("frames", 1, 600, 9), connects=FEW)
    async with gateway(database_url, redis_url, quotas=limits, sockets_of_user=2) as hansard:
        ada, eve = await hansard.person(), await hansard.person()
        room_id = await ada.room()
        began = (await hansard.services.record.head()).position

        async def all_but_the_last_are_counted() -> bool:
            return sum((await counted(hansard, began)).values()) == 3 + 4 + 1 + 1 + 1

        for token, query in (("forged", ""), (ada.token, "?ticket=forged")):
            refused = await turned_away(hansard, f"/api/v1/ws{query}", Authorization=f"Bearer {token}")
            assert refused.status_code == 401
        async with line(hansard, None) as stranger:
            await stranger.ask("authenticate", token="forged")
            assert await stranger.closed() == close_codes.UNAUTHENTICATED
        async with line(hansard, eve, room_id) as stranger:
            assert await stranger.closed() == close_codes.NO_ROOM
        async with line(hansard, eve) as socket, line(hansard, eve) as second:
            await socket.until("hello")
            await second.until("hello")
            async with line(hansard, eve) as third:
                assert await third.closed() == close_codes.TOO_MANY_SOCKETS
            for _ in range(2):
                assert not (await socket.ask("subscribe", room_id=room_id))["ok"]
            await socket.send("send", room_id=room_id, content="without a number")
            assert not (await socket.ask("send", room_id=room_id, content="x"))["ok"]
            assert not (await socket.ask("authenticate", token=ada.token))["ok"]
            await until(all_but_the_last_are_counted)  # what is at work when a socket closes is given up
            for _ in range(8):
                await socket.send("ping")
            assert await socket.closed() == close_codes.TOO_MANY_FRAMES
        assert (await turned_away(hansard, Authorization=f"Bearer {ada.token}")).status_code == 429
        at, eves = "127.0.0.1", UUID(eve.id)
        assert await counted(hansard, began) == {
            ("auth.token_invalid", None, at): 3,
            ("room.not_a_member", eves, None): 4,
            ("sockets.too_many", eves, None): 1,
            ("limit.reached", eves, None): 1,
            ("auth.token_invalid", eves, None): 1,
            ("frames.too_many", eves, None): 1,
            ("limit.reached", None, at): 1,
        }


async def test_limits_of_registering_and_logging_in_are_counted_by_address(database_url: str, redis_url: str) -> None:
    limits = replace(OFF, registrations=Quota("registrations", 1, 600, 1), logins=Quota("logins", 1, 600, 1))
    async with gateway(database_url, redis_url, quotas=limits) as hansard, hansard.client() as http:
        for i in range(4):
            body = {"email": f"p{i}@example.com", "username": f"p{i}", "password": PASSWORD}
            await http.post("/auth/register", json=body)
        for path in ("/auth/login", "/auth/password/forgot"):
            for _ in range(2):
                await http.post(path, json={"email": "p1@example.com"})
        assert await counted(hansard) == {("limit.reached", None, "127.0.0.1"): 3 + 3}
