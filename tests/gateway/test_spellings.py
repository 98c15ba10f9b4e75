"""How a path may be spelt: in one way. Every route, spelt otherwise by somebody with a token, is not there; no limit is passed."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from msgspec.structs import replace

from domain.quotas import OFF, Quota, Quotas
from gateway.app import surface
from tests.deployments import Gateway, deployment, gateway
from tests.gateway.test_every_route import MUTATIONS, Asked, asked_of, is_unreadable, path_of, wire

NOWHERE = b'"code":"route.not_found"'
FEW = 3


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def test_a_path_that_is_spelt_otherwise_is_not_there_for_who_has_a_token_either(hansard: Gateway) -> None:
    ada = await hansard.person()
    asked = await asked_of(hansard, ada)
    before = (await hansard.services.record.head()).position
    tried = 0
    async with wire(hansard) as connection:
        for plain in asked:
            if "/variants/" in plain.target or "/reactions/" in plain.target:
                continue  # the last segment is a text of any spelling: see below
            for name, mutate in MUTATIONS.items():
                mutated = mutate(plain)._replace(headers=(f"Authorization: Bearer {ada.token}",))
                if path_of(mutated.target) == path_of(plain.target):
                    continue
                status, _, body = await connection.ask(mutated)
                where = f"{name}: {mutated.method} {mutated.target} -> {status} {body[:200]!r}"
                # A suffix may make a UUID's place of a word's: `/users/me;a=b` is no address of a person.
                is_nowhere = status in (404, 405) and (NOWHERE in body or status == 405 or mutated.method == "HEAD")
                assert is_nowhere or is_unreadable(mutated, status, body), where
                tried += is_nowhere
    assert tried > 15 * len(asked)
    assert (await hansard.services.record.head()).position == before, "and nothing was done"
    await ada.ask("GET", "/users/me", 200)


@pytest.mark.parametrize(
    ("method", "name", "unknown"),
    [
        ("GET", f"/api/v1/files/{uuid4()}/variants/", b"file.not_found"),
        ("DELETE", f"/api/v1/messages/{uuid4()}/reactions/", b"message.not_found"),
    ],
    ids=["variant", "emoji"],
)
async def test_a_segment_of_any_characters_has_one_spelling_as_well(
    hansard: Gateway, method: str, name: str, unknown: bytes
) -> None:
    ada = await hansard.person()
    signed = (f"Authorization: Bearer {ada.token}",)
    async with wire(hansard) as connection:
        for good in (
            "%F0%9F%91%A9%E2%80%8D%F0%9F%9A%80",
            "%23%EF%B8%8F%E2%83%A3",
            "*%EF%B8%8F%E2%83%A3",
            "%2A",
            "a.b~c_d-e",
        ):
            status, _, body = await connection.ask(Asked(method, name + good, signed))
            assert status == 404 and unknown in body, (good, status, body)
        for bad in (
            "%f0%9f%91%a9", "%61", "%2D", "%7E", "a%2Fb", "%00", "%0A", "%7F", "%FF", "%C0%AF", "%", "%4", "%G0", "%u0041",
            "a b", "a%20b/", "a\\b", '"', "<", "^", "{a}", ".", "..", "%2E%2E",
        ):  # fmt: skip
            status, _, body = await connection.ask(Asked(method, name + bad, signed))
            asked = Asked(method, name + bad, signed)
            assert (status == 404 and NOWHERE in body) or is_unreadable(asked, status, body), (bad, status, body)


# As the routes declare them; a quota that a route lost would be missed here.
LIMITS = {
    ("POST", "/api/v1/auth/register"): "registrations",
    ("POST", "/api/v1/auth/login"): "logins",
    ("POST", "/api/v1/auth/verify-email"): "logins",
    ("POST", "/api/v1/auth/password/forgot"): "logins",
    ("POST", "/api/v1/auth/password/reset"): "logins",
    ("POST", "/api/v1/rooms/{room_id}/messages"): "sends",
    ("POST", "/api/v1/files/upload"): "uploads",
    ("POST", "/api/v1/push/subscriptions"): "pushes",
    ("POST", "/api/v1/push/subscriptions/{subscription_id}/test"): "pushes",
    ("PUT", "/api/v1/users/me/webhook"): "pushes",
}


@pytest.mark.parametrize("route", LIMITS, ids=lambda route: route[1])
async def test_no_spelling_passes_a_limit(database_url: str, redis_url: str, route: tuple[str, str]) -> None:
    """In each spelling once, and plainly a few times more: what is answered by the route is as much as it lets through."""
    few: Quotas = replace(OFF, **{LIMITS[route]: Quota(LIMITS[route], 1, 3600, FEW)})
    async with gateway(database_url, redis_url) as free:
        ada = await free.person()
        room_id = await ada.room()
    async with gateway(database_url, redis_url, quotas=few) as hansard, wire(hansard) as connection:
        method, template = route
        plain = Asked(method, template.replace("{room_id}", room_id).replace("{subscription_id}", str(uuid4())))
        signed = (f"Authorization: Bearer {ada.token}",)
        spelt = [mutate(plain)._replace(method=method, headers=signed) for mutate in MUTATIONS.values()]
        answers = [await connection.ask(asked) for asked in (*spelt, *[plain._replace(headers=signed)] * (FEW + 1))]
        # 405: some other route's address; 400: no request.
        judged = [status for status, _, body in answers if status not in (400, 405, 429) and NOWHERE not in body]
        assert len(judged) == FEW, judged
        assert answers[-1][0] == 429


def test_these_are_all_routes_that_take_more_than_a_request() -> None:
    assert {name: quota for name, declared in surface().routes.items() for quota in declared.quotas} == LIMITS
