"""Sessions of browsers: the refresh token in a cookie that no script reads, that no other site can have sent."""

from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any

import httpx
import pytest

from gateway.edge.client_address import Proxies
from tests.deployments import PASSWORD, Gateway, Person, deployment
from tests.gateway.test_bad_input import assert_problem

ASKED = {"Hansard-Session": "cookie"}
PATH = "/api/v1/auth/refresh"
CHAT = "https://chat.example.com"


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url, origins=(CHAT,)) as made:
        yield made


async def log_in(hansard: Gateway, who: Person, **headers: str) -> httpx.Response:
    async with hansard.client() as http:
        body = {"email": who.email, "password": PASSWORD}
        sent = {name: value for name, value in {**ASKED, **headers}.items() if value}
        return await http.post("/auth/login", json=body, headers=sent)


async def refresh(hansard: Gateway, cookie: str | None, body: Any = None, **headers: str) -> httpx.Response:
    sent = {**ASKED, **headers, **({} if cookie is None else {"Cookie": cookie})}
    async with hansard.client() as http:
        return await http.post("/auth/refresh", json=body or {}, headers={k: v for k, v in sent.items() if v})


def cookie_of(answer: httpx.Response) -> tuple[str, set[str]]:
    """The one cookie of an answer, as it is sent again, and its attributes."""
    [said] = answer.headers.get_list("set-cookie")
    pair, *attributes = said.split("; ")
    return pair, set(attributes)


async def test_a_page_that_asks_gets_its_refresh_token_in_a_cookie_alone(hansard: Gateway) -> None:
    ada = await hansard.person()
    logged_in = await log_in(hansard, ada)
    assert logged_in.status_code == 200 and "refresh_token" not in logged_in.json()
    pair, attributes = cookie_of(logged_in)
    assert pair.startswith("hansard_refresh=") and len(pair) > 60
    assert attributes == {"HttpOnly", "SameSite=Strict", f"Path={PATH}", "Max-Age=604800"}
    refreshed = await refresh(hansard, pair)
    assert refreshed.status_code == 200 and "refresh_token" not in refreshed.json()
    assert pair.partition("=")[2] not in refreshed.text
    following, _ = cookie_of(refreshed)
    assert following != pair
    token = refreshed.json()["access_token"]
    assert (await hansard.client(token).get("/users/me")).json()["id"] == ada.id
    # Who does not ask gets everything as ever, and no cookie.
    plain = await log_in(hansard, ada, **{"Hansard-Session": ""})
    assert plain.json()["refresh_token"] and "set-cookie" not in plain.headers


async def test_a_spent_cookie_ends_the_session_and_a_lost_answer_is_given_again(hansard: Gateway) -> None:
    ada = await hansard.person()
    pair, _ = cookie_of(await log_in(hansard, ada))
    one, again = [await refresh(hansard, pair, **{"Idempotency-Key": "one"}) for _ in range(2)]
    assert cookie_of(one)[0] == cookie_of(again)[0]
    assert_problem(await refresh(hansard, pair, **{"Idempotency-Key": "two"}), 401, "auth.session_revoked")
    revoked = await refresh(hansard, cookie_of(one)[0])
    assert_problem(revoked, 401, "auth.session_revoked")
    assert cookie_of(revoked)[0] == "hansard_refresh=" and "Max-Age=0" in cookie_of(revoked)[1]


async def test_the_cookie_alone_is_no_credential(hansard: Gateway) -> None:
    ada = await hansard.person()
    pair, _ = cookie_of(await log_in(hansard, ada))
    assert_problem(await refresh(hansard, pair, **{"Hansard-Session": ""}), 401, "auth.refresh_invalid")
    assert_problem(await refresh(hansard, None), 401, "auth.refresh_invalid")
    assert_problem(await refresh(hansard, "hansard_refresh=nonsense"), 401, "auth.refresh_invalid")
    both = await refresh(hansard, pair, {"refresh_token": ada.tokens["refresh_token"]})
    assert_problem(both, 401, "auth.refresh_invalid")
    unknown = await refresh(hansard, pair, **{"Hansard-Session": "local"})
    assert_problem(unknown, 422, "header.session")
    async with hansard.client() as http:
        assert_problem(await http.get("/users/me", headers={**ASKED, "Cookie": pair}), 401, "auth.token_invalid")
    assert (await refresh(hansard, f"theme=dark; {pair}; x=1")).status_code == 200


async def test_what_else_the_host_has_in_cookies_ends_no_session_and_takes_its_place_in_none(hansard: Gateway) -> None:
    """Cookies know no ports, and whoever has another name of the domain can set some for this one, of this name, too."""
    ada, eve = await hansard.person(), await hansard.person()
    pair, _ = cookie_of(await log_in(hansard, ada))
    theirs, _ = cookie_of(await log_in(hansard, eve))
    for both in (f"{pair}; {theirs}", f"{theirs}; {pair}"):
        assert_problem(await refresh(hansard, both), 401, "auth.refresh_invalid")
    for other in ('prefs={"a": 1}', "a b=c d", "words", "a[0]=1", '"', "=", "x=hansard_refresh=y"):
        answer = await refresh(hansard, f"{other}; {pair}; {other}")
        assert answer.status_code == 200 and answer.json()["user"]["id"] == ada.id, other
        pair, _ = cookie_of(answer)


@pytest.mark.parametrize(
    "foreign",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": CHAT},  # may call with tokens; the cookie is for the server's own pages
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_pages_of_other_origins_can_neither_spend_nor_set_it(hansard: Gateway, foreign: dict[str, str]) -> None:
    ada = await hansard.person()
    pair, _ = cookie_of(await log_in(hansard, ada))
    for answer in (await refresh(hansard, pair, **foreign), await log_in(hansard, ada, **foreign)):
        assert_problem(answer, 403, "origin.refused")
        assert "set-cookie" not in answer.headers and "access-control-allow-credentials" not in answer.headers
    own = {"Origin": hansard.base, "Sec-Fetch-Site": "same-origin"}
    assert (await refresh(hansard, pair, **own)).status_code == 200


async def test_logging_out_clears_it(hansard: Gateway) -> None:
    ada = await hansard.person()
    logged_in = await log_in(hansard, ada)
    http = hansard.client(logged_in.json()["access_token"])
    gone = await http.post("/auth/logout", headers=ASKED)
    assert gone.status_code == 204
    pair, attributes = cookie_of(gone)
    assert pair == "hansard_refresh=" and attributes == {
        "HttpOnly", "SameSite=Strict", f"Path={PATH}", "Max-Age=0",
    }  # fmt: skip
    assert_problem(await refresh(hansard, cookie_of(logged_in)[0]), 401, "auth.session_revoked")


async def test_over_tls_it_is_sent_over_tls_alone(database_url: str, redis_url: str) -> None:
    trusted = Proxies([ip_network("127.0.0.0/8")])
    async with deployment(database_url, redis_url, proxies=trusted) as hansard:
        ada = await hansard.person()
        _, attributes = cookie_of(await log_in(hansard, ada, **{"X-Forwarded-Proto": "https"}))
        assert "Secure" in attributes
