"""The same word typed on different keyboards is the same: in passwords, addresses, searches and headers."""

import unicodedata
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
from hansard_client import Client

from adapters.mail import message
from commands.account import RegisterAccount
from domain.account import ACCOUNT
from domain.errors import InvalidError
from domain.events import Caller
from domain.ids import UserId
from domain.ports.mail import Mail
from domain.text import check_email, fold_email
from tests.deployments import PASSWORD, Gateway, deployment
from tests.gateway.test_letters import Box

TYPED = {form: unicodedata.normalize(form, "mañana caffè ﬁn") for form in ("NFC", "NFD", "NFKC")}


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def login(hansard: Gateway, email: str, password: str = PASSWORD) -> int:
    answer = await hansard.client().post("/auth/login", json={"email": email, "password": password})
    return answer.status_code


async def register(hansard: Gateway, email: str, password: str = PASSWORD) -> httpx.Response:
    body = {"email": email, "username": f"p{uuid4().hex[:12]}", "password": password}
    return await hansard.client().post("/auth/register", json=body)


async def test_a_password_is_the_same_however_it_is_typed(hansard: Gateway) -> None:
    for i, form in enumerate(TYPED):
        assert (await register(hansard, f"p{i}@example.com", TYPED[form])).status_code == 201
        assert [await login(hansard, f"p{i}@example.com", typed) for typed in TYPED.values()] == [200, 200, 200]
        assert await login(hansard, f"p{i}@example.com", "manana caffe fin") == 401
    ada = await hansard.person("ada")
    change = {"current_password": PASSWORD, "new_password": TYPED["NFD"]}
    await ada.ask("PUT", "/auth/password", 204, json=change)
    assert await login(hansard, "ada@example.com", TYPED["NFC"]) == 200
    change = {"current_password": TYPED["NFC"], "new_password": PASSWORD}
    await ada.ask("PUT", "/auth/password", 204, json=change)
    short = {"email": "short@example.com", "username": "short", "password": "a\u0301" * 7}
    answer = await hansard.client().post("/auth/register", json=short)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/password"), "14 signs, 7 characters"


async def test_a_hash_of_before_is_found_and_made_anew(hansard: Gateway) -> None:
    """Earlier versions hashed what was typed; whoever types it so once may type it as they like from then on."""
    user_id = UserId(hansard.services.command_bus.new_id())
    hashed = await hansard.services.passwords.hash(TYPED["NFD"], address="address 127.0.0.1", account="email x")
    await hansard.services.command_bus.do(RegisterAccount(user_id, "old@example.com", "old", hashed), Caller())
    assert await login(hansard, "old@example.com", TYPED["NFC"]) == 401
    assert await login(hansard, "old@example.com", TYPED["NFD"]) == 200
    account = (await hansard.services.command_bus.see(ACCOUNT, user_id)).state
    assert account is not None and account.password_hash != hashed
    assert [await login(hansard, "old@example.com", typed) for typed in TYPED.values()] == [200, 200, 200]


async def test_a_domain_in_any_script_is_an_address_and_is_compared_folded(hansard: Gateway) -> None:
    made = await register(hansard, "user@bücher.example")
    assert (made.status_code, made.json()["email"]) == (201, "user@bücher.example")
    for same in (
        "USER@BÜCHER.example",
        "user@bu\u0308cher.example",
        "user@xn--bcher-kva.example",
        "user@bücher。example",
    ):
        assert await login(hansard, same) == 200, same
        again = await register(hansard, same)
        assert (again.status_code, again.json()["code"]) == (409, "account.email_taken"), same
    assert (await register(hansard, "user@bucher.example")).status_code == 201


def test_what_is_no_domain_is_no_address() -> None:
    for email in ("user@bü cher.example", "user@-bü.example", "user@bü", "user@bü..example", "user@" + "ü" * 64 + ".example",
                  "üser@example.com", "user@\u200d.example", "user@bü.example/x"):  # fmt: skip
        with pytest.raises(InvalidError):
            check_email(email)
        fold_email(email)
    for email in ("user@faß.example", "user@例え.テスト", "user@пример.рф", "user@a--b.example"):
        check_email(email)
    assert fold_email("user@faß.example") != fold_email("user@fass.example"), "IDNA 2008"


async def test_a_mail_goes_to_the_ascii_form(database_url: str, redis_url: str) -> None:
    mails = Box()
    async with deployment(database_url, redis_url, verify_email=True, mails=mails) as hansard:
        assert (await register(hansard, "user@bücher.example")).status_code == 201
        mail = await mails.next()
    assert message(mail, "hansard@example.com")["To"] == "user@xn--bcher-kva.example"
    assert message(Mail("ada@example.com", "s", "t"), "hansard@example.com")["To"] == "ada@example.com"


async def test_people_and_rooms_are_found_however_they_are_typed(hansard: Gateway) -> None:
    ada, zoe = await hansard.person(), await hansard.person()
    await ada.ask("PUT", "/users/me", 200, json={"username": "ΣΑΣ"})
    await zoe.ask("PUT", "/users/me", 200, json={"username": "Zo\u00eb"})
    renamed = (await zoe.http.put("/users/me", json={"username": "Zo\u00eb", "avatar_url": None})).headers
    await ada.ask("GET", "/rooms", 200, headers={"Hansard-After": renamed["hansard-position"]})
    for typed in ("σας", "ΣΑΣ", " Σας ", "\u3000σασ"):
        found = await ada.ask("GET", "/users", 200, params={"username": typed})
        assert [user["username"] for user in found["items"]] == ["ΣΑΣ"], typed
    for typed in ("ZOE\u0308", "ｚｏë", "zoë "):
        assert len((await ada.ask("GET", "/users", 200, params={"username": typed}))["items"]) == 1, typed
    room = await ada.ask("POST", "/rooms", 201, json={"name": "ΟΔΟΣ Cafe\u0301 Straße １２"})
    for typed in (
        "οδος",
        "οδοσ",
        "café",
        "CAFÉ",
        "cafe\u0301",
        "ｃａｆé",
        "strasse",
        "STRASSE",
        " café ",
        "\u3000café",
        "12",
    ):
        found = await ada.ask("GET", "/rooms", 200, params={"q": typed})
        assert [each["id"] for each in found["items"]] == [room["id"]], typed
    assert (await ada.ask("GET", "/rooms", 200, params={"q": "ode"}))["items"] == []
    await ada.ask("PATCH", f"/rooms/{room['id']}", 200, json={"name": "ÜBER"})
    assert len((await ada.ask("GET", "/rooms", 200, params={"q": "u\u0308ber"}))["items"]) == 1


async def test_a_room_s_name_shows_something(hansard: Gateway) -> None:
    ada = await hansard.person()
    for name in ("\u2800", "\u0301\u0302", "\u200d\u00ad", "\u3000"):
        answer = await ada.http.post("/rooms", json={"name": name})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/name"), name


async def test_why_is_recorded_as_it_was_written(hansard: Gateway) -> None:
    ada = await hansard.person()
    room_id = await ada.room()
    for said, kept in (
        ("Bitte der Geschäftsführung, по просьбе, 依頼".encode(), "Bitte der Geschäftsführung, по просьбе, 依頼"),
        ("Geschäft".encode("latin-1"), "Geschäft"),
        (b"100%20sure, 5%", "100%20sure, 5%"),
    ):
        headers = {b"Hansard-Reason": said, b"User-Agent": said}
        changed = await ada.http.patch(f"/rooms/{room_id}", json={"name": uuid4().hex}, headers=headers)
        entry = await hansard.services.audit.entry(int(changed.headers["hansard-position"]))
        assert entry is not None and (entry.reason, entry.agent) == (kept, kept)


async def test_the_client_library_says_why_in_any_language(hansard: Gateway) -> None:
    async with Client(hansard.base) as client:
        await client.register("why@example.com", "why", PASSWORD)
        await client.login("why@example.com", PASSWORD)
        room = await client.open_room("Lobby")
        said = await client.send(room.id, "hello")
        await client.edit(said.id, "goodbye", reason="100% sûr, по просьбе")
    entry = await hansard.services.audit.entry((await hansard.services.record.head()).position)
    assert entry is not None and entry.reason == "100% sûr, по просьбе"


async def test_the_senders_of_a_whole_page_are_named_in_one_request(hansard: Gateway) -> None:
    ada = await hansard.person()
    ids = [str(uuid4()) for _ in range(199)] + [ada.id]
    found = await ada.ask("GET", "/users?ids=" + ",".join(ids), 200)
    assert [user["id"] for user in found["items"]] == [ada.id]
    await ada.ask("GET", "/users?ids=" + ",".join([*ids, str(uuid4())]), 422)
