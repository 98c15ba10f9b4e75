"""Limits at the door: what is limited, what is said of it, and whose address is believed."""

import asyncio
from ipaddress import ip_network
from typing import Any

import pytest
from msgspec.structs import replace
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from domain.quotas import OFF, STRICT, Quota
from gateway.edge.client_address import Proxies
from tests.deployments import PASSWORD, gateway
from tests.gateway.test_bad_input import assert_problem

FEW = Quota("requests", 1, 60, 3)
LOOPBACK = (ip_network("127.0.0.0/8"),)


async def test_a_persons_requests_are_limited_and_every_answer_says_how_they_stand(
    database_url: str, redis_url: str
) -> None:
    limited = replace(OFF, requests=Quota("requests", 1, 60, 6))
    async with gateway(database_url, redis_url, quotas=limited) as hansard:
        ada = await hansard.person()  # registering and logging in were the address's requests
        for remaining in (5, 4, 3):
            answer = await ada.http.get("/users/me")
            assert answer.status_code == 200
            assert answer.headers["ratelimit-policy"] == '"requests";q=6;w=360'
            assert answer.headers["ratelimit"].startswith(f'"requests";r={remaining};t=')
        for status, path in (
            (404, "/nowhere"),
            (422, "/rooms?limit=0"),
            (404, f"/users/{'0' * 8}-0000-0000-0000-{'0' * 12}"),
        ):
            answer = await ada.http.get(path)
            assert answer.status_code == status
            assert answer.headers["ratelimit"].startswith('"requests";r=')
        answer = await ada.http.get("/users/me")
        assert_problem(answer, 429, "limit.reached")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert answer.headers["ratelimit"].startswith('"requests";r=0;t=')
        ben = await hansard.person()
        assert (await ben.http.get("/users/me")).status_code == 200, "others are not concerned"
        async with hansard.client() as http:
            assert (await http.get(f"{hansard.base}/livez")).headers.get("ratelimit") is None


async def test_two_gateways_count_as_one(database_url: str, redis_url: str) -> None:
    limited = replace(OFF, requests=Quota("requests", 1, 600, 40))
    async with (
        gateway(database_url, redis_url, quotas=limited) as one,
        gateway(database_url, redis_url, quotas=limited) as two,
    ):
        ada = await one.person()
        clients = [one.client(ada.token), two.client(ada.token)]
        answers = await asyncio.gather(*(client.get("/users/me") for _ in range(40) for client in clients))
        assert sorted({answer.status_code for answer in answers}) == [200, 429]
        assert sum(answer.status_code == 200 for answer in answers) == 40


async def test_sends_have_a_quota_of_their_own(database_url: str, redis_url: str) -> None:
    async with gateway(database_url, redis_url, quotas=replace(OFF, sends=Quota("sends", 1, 60, 2))) as hansard:
        ada = await hansard.person()
        room_id = await ada.room()
        for _ in range(2):
            await ada.say(room_id, "hello")
        answer = await ada.http.post(f"/rooms/{room_id}/messages", json={"content": "hello"})
        assert_problem(answer, 429, "limit.reached")
        assert '"sends";q=2;w=120' in answer.headers["ratelimit-policy"]


async def test_registrations_and_logins_are_limited_by_address(database_url: str, redis_url: str) -> None:
    limited = replace(OFF, registrations=Quota("registrations", 1, 60, 2), logins=Quota("logins", 1, 60, 3))
    async with gateway(database_url, redis_url, quotas=limited) as hansard, hansard.client() as http:
        people = [{"email": f"p{i}@example.com", "username": f"p{i}", "password": PASSWORD} for i in range(3)]
        made = [(await http.post("/auth/register", json=person)).status_code for person in people]
        assert made == [201, 201, 429]
        tries = [
            (await http.post("/auth/login", json={"email": f"p{i}@example.com", "password": "wrong wrong"})).status_code
            for i in range(4)
        ]
        assert tries == [401, 401, 401, 429]


async def test_wrong_passwords_slow_an_account_down_and_end_no_session(database_url: str, redis_url: str) -> None:
    async with gateway(database_url, redis_url, quotas=replace(STRICT, logins=None, registrations=None)) as hansard:
        ada, ben = await hansard.person(), await hansard.person()
        right = {"email": ada.email, "password": PASSWORD}
        async with hansard.client() as http:
            for _ in range(8):
                assert (await http.post("/auth/login", json=right)).status_code == 200, "right ones cost nothing"
            answers = [
                await asyncio.gather(
                    *(http.post("/auth/login", json={"email": email, "password": "wrong wrong"}) for _ in range(20))
                )
                for email in (ada.email.upper(), "nobody@example.com")
            ]
            for of_email in answers:
                assert sorted(answer.status_code for answer in of_email) == [401] * 5 + [429] * 15
            answer = await http.post("/auth/login", json=right)
            assert_problem(answer, 429, "limit.reached")
            assert 300 <= int(answer.headers["retry-after"]) <= 360
            assert (await http.post("/auth/login", json=right | {"email": ben.email})).status_code == 200
        await ada.ask("GET", "/users/me", 200)
        refreshed = await ada.http.post("/auth/refresh", json={"refresh_token": ada.tokens["refresh_token"]})
        assert refreshed.status_code == 200


async def test_guessing_tokens_is_limited_by_address(database_url: str, redis_url: str) -> None:
    async with gateway(database_url, redis_url, quotas=replace(OFF, requests=FEW)) as hansard:
        async with hansard.client("no token") as http:
            statuses = [(await http.get("/users/me")).status_code for _ in range(5)]
            assert statuses == [401, 401, 401, 429, 429]
            assert (await http.get("/meta")).status_code == 429, "the public routes are the address's as well"


async def test_an_address_opens_so_many_sockets(database_url: str, redis_url: str) -> None:
    async with gateway(database_url, redis_url, quotas=replace(OFF, connects=Quota("connects", 1, 60, 2))) as hansard:
        ada = await hansard.person()
        url = f"ws://127.0.0.1:{hansard.port}/api/v1/ws"
        for _ in range(2):
            async with connect(url, additional_headers={"Authorization": f"Bearer {ada.token}"}) as socket:
                await socket.recv()
        with pytest.raises(InvalidStatus) as refused:
            async with connect(url, additional_headers={"Authorization": f"Bearer {ada.token}"}):
                pass
        assert refused.value.response.status_code == 429
        assert 1 <= int(refused.value.response.headers["retry-after"]) <= 60


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "True-Client-IP"])
async def test_whoever_makes_up_an_address_stays_limited(database_url: str, redis_url: str, header: str) -> None:
    async with gateway(database_url, redis_url, quotas=replace(OFF, requests=FEW)) as hansard, hansard.client() as http:
        statuses = []
        for i in range(83):
            said = f"for=198.51.100.{i}" if header == "Forwarded" else f"198.51.100.{i}"
            statuses.append((await http.get("/meta", headers={header: said})).status_code)
        assert statuses == [200] * 3 + [429] * 80


async def test_behind_a_listed_proxy_the_address_is_the_one_that_the_proxy_saw(
    database_url: str, redis_url: str
) -> None:
    made = gateway(database_url, redis_url, quotas=replace(OFF, requests=FEW), proxies=Proxies(LOOPBACK))
    async with made as hansard, hansard.client() as http:

        async def ask(said: str) -> int:
            return (await http.get("/meta", headers={"X-Forwarded-For": said})).status_code

        # What the client made up stands on the left; what the proxy saw, on the right.
        assert [await ask(f"198.51.100.{i}, 203.0.113.1") for i in range(6)] == [200] * 3 + [429] * 3
        assert [await ask("203.0.113.2") for _ in range(4)] == [200] * 3 + [429]


PEER = "10.0.0.1"
CASES: list[tuple[str, list[tuple[bytes, bytes]], str, str]] = [
    ("x-forwarded-for", [], PEER, "nothing is said"),
    ("x-forwarded-for", [(b"x-forwarded-for", b"203.0.113.9")], "203.0.113.9", "one proxy"),
    ("x-forwarded-for", [(b"x-forwarded-for", b"6.6.6.6, 203.0.113.9, 10.0.0.2")], "203.0.113.9", "two proxies"),
    ("x-forwarded-for", [(b"x-forwarded-for", b"6.6.6.6"), (b"x-forwarded-for", b"203.0.113.9")], "203.0.113.9", "lines"),
    ("x-forwarded-for", [(b"x-forwarded-for", b"10.0.0.3, 10.0.0.2")], "10.0.0.3", "proxies all the way"),
    ("x-forwarded-for", [(b"x-forwarded-for", b"6.6.6.6, nonsense")], PEER, "what nobody can read"),
    ("x-forwarded-for", [(b"x-forwarded-for", b"203.0.113.9:4711")], "203.0.113.9", "with a port"),
    ("x-forwarded-for", [(b"x-forwarded-for", b"[2001:db8::1]:80")], "2001:db8::1", "IPv6 with a port"),
    ("x-forwarded-for", [(b"forwarded", b"for=6.6.6.6")], PEER, "the other header is not asked"),
    ("x-forwarded-for", [(b"x-forwarded-for", b"::ffff:203.0.113.9")], "203.0.113.9", "IPv4 mapped"),
    ("x-forwarded-for", [(b"x-forwarded-for", b"6.6.6.6, ::ffff:10.0.0.2")], "6.6.6.6", "a proxy mapped"),
    ("forwarded", [(b"x-forwarded-for", b"6.6.6.6")], PEER, "nor this one"),
    ("forwarded", [(b"forwarded", b'for=6.6.6.6, proto=https;for="[2001:db8::1]:80";by=10.0.0.1')], "2001:db8::1", "RFC 7239"),
    ("forwarded", [(b"forwarded", b"For=203.0.113.9;host=x")], "203.0.113.9", "letters"),
    ("forwarded", [(b"forwarded", b"for=_hidden")], PEER, "hidden"),
]  # fmt: skip


@pytest.mark.parametrize(("header", "headers", "expected", "what"), CASES, ids=[case[3] for case in CASES])
def test_the_client_is_the_first_from_the_right_that_is_no_listed_proxy(
    header: Any, headers: list[tuple[bytes, bytes]], expected: str, what: str
) -> None:
    proxies = Proxies((ip_network("10.0.0.0/8"),), header)
    assert proxies.client({"client": (PEER, 1), "headers": headers}) == expected
    assert Proxies((), header).client({"client": (PEER, 1), "headers": headers}) == PEER
    assert Proxies((), header).client({"client": None, "headers": headers}) is None
    mapped = {"client": (f"::ffff:{PEER}", 1), "headers": headers}
    assert (proxies.client(mapped), Proxies((), header).client(mapped)) == (expected, PEER)
