"""Mails with codes: confirming an address, a new password, and what strangers cannot learn from either."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from adapters.mail import FolderMail, SmtpMail, open_mail
from domain.account import ACCOUNT
from domain.email_token import EMAIL_TOKEN
from domain.ids import UserId
from domain.ports.mail import Mail, MailUnavailableError
from domain.quotas import OFF, Quota
from tests.deployments import PASSWORD, Gateway, gateway
from tests.gateway.test_bad_input import assert_problem
from tests.gateway.test_sessions import refreshed

NEW = "another horse battery"


class Box:
    """The port of mails, in memory."""

    def __init__(self) -> None:
        self._mails: asyncio.Queue[Mail] = asyncio.Queue()

    async def send(self, mail: Mail) -> None:
        self._mails.put_nowait(mail)

    async def next(self) -> Mail:
        async with asyncio.timeout(20):
            return await self._mails.get()

    async def code(self) -> str:
        """Return the code that the next mail holds."""
        lines = (await self.next()).text.strip().splitlines()
        return lines[-1]

    @property
    def is_empty(self) -> bool:
        return self._mails.empty()


@asynccontextmanager
async def posting(database_url: str, redis_url: str, **options: Any) -> AsyncIterator[tuple[Gateway, Box]]:
    box = Box()
    async with gateway(database_url, redis_url, mails=box, **options) as hansard:
        yield hansard, box


async def test_a_forgotten_password_is_set_anew_once_and_all_sessions_end(database_url: str, redis_url: str) -> None:
    async with posting(database_url, redis_url) as (hansard, box), hansard.client() as http:
        ada = await hansard.person()
        first, second = [await asked_and_read(http, box, ada.email) for _ in range(2)]
        letter = (await hansard.services.command_bus.see(EMAIL_TOKEN, UUID(hex=first.partition(".")[0]))).state
        assert letter is not None and first.partition(".")[2] not in letter.secret_hash
        assert len(first.partition(".")[2]) == 43 and len(letter.secret_hash) == 64, "256 bits, kept as SHA-256"
        for bad in ("x", first[:-1], f"{first.partition('.')[0]}.{second.partition('.')[2]}", "ä" * 40):
            answer = await http.post("/auth/password/reset", json={"token": bad, "password": NEW})
            assert_problem(answer, 422, "auth.mail_token_invalid")
        answer = await http.post("/auth/password/reset", json={"token": first, "password": "password1"})
        assert_problem(answer, 422, "password.too_common")
        assert_problem(await http.post("/auth/verify-email", json={"token": first}), 422, "auth.mail_token_invalid")
        reset = {"token": first, "password": NEW}
        answers = await asyncio.gather(*(http.post("/auth/password/reset", json=reset) for _ in range(10)))
        assert sorted(answer.status_code for answer in answers) == [204] + [422] * 9
        assert_problem(await ada.http.get("/users/me"), 401, "auth.session_revoked")
        assert_problem(await refreshed(hansard, ada.tokens["refresh_token"]), 401, "auth.session_revoked")
        answer = await http.post("/auth/password/reset", json={"token": second, "password": NEW + "!"})
        assert_problem(answer, 422, "auth.mail_token_invalid")
        for password, status in ((PASSWORD, 401), (NEW, 200)):
            tried = await http.post("/auth/login", json={"email": ada.email, "password": password})
            assert tried.status_code == status
        assert tried.json()["user"]["is_verified"], "who reads its mail has shown that the address is theirs"


async def asked_and_read(http: Any, box: Box, email: str) -> str:
    assert (await http.post("/auth/password/forgot", json={"email": email})).status_code == 202
    return await box.code()


async def test_who_asks_for_a_stranger_gets_the_same_answer(database_url: str, redis_url: str) -> None:
    async with posting(database_url, redis_url) as (hansard, box), hansard.client(**{"X-Request-Id": "same"}) as http:
        ada = await hansard.person()
        bodies, times = set(), {ada.email: list[float](), "nobody@example.com": list[float]()}
        for _ in range(20):
            for email, taken in times.items():
                started = asyncio.get_running_loop().time()
                answer = await http.post("/auth/password/forgot", json={"email": email})
                taken.append(asyncio.get_running_loop().time() - started)
                bodies.add((answer.status_code, answer.content, frozenset(answer.headers)))
        assert len(bodies) == 1
        known, unknown = (min(taken) for taken in times.values())  # medians are a busy machine's
        assert 0.5 < known / unknown < 2
        for _ in range(20):
            assert (await box.next()).to == ada.email
        assert box.is_empty


async def test_an_address_is_confirmed_before_its_account_is_used(database_url: str, redis_url: str) -> None:
    async with posting(database_url, redis_url, verify_email=True) as (hansard, box), hansard.client() as http:
        body = {"email": "ada@example.com", "username": "ada", "password": PASSWORD}
        made = await http.post("/auth/register", json=body)
        assert (made.status_code, made.json()["is_verified"]) == (201, False)
        login = {"email": "ada@example.com", "password": PASSWORD}
        code = await box.code()
        assert_problem(await http.post("/auth/login", json=login), 403, "account.not_verified")
        again = await box.code()
        assert_problem(
            await http.post("/auth/login", json=login | {"password": "wrong wrong"}), 401, "auth.bad_credentials"
        )
        key = {"Idempotency-Key": "confirm"}
        for replayed in (None, "true"):
            confirmed = await http.post("/auth/verify-email", json={"token": again}, headers=key)
            assert (confirmed.status_code, confirmed.headers.get("idempotency-replayed")) == (204, replayed)
        assert_problem(await http.post("/auth/verify-email", json={"token": again}), 422, "auth.mail_token_invalid")
        assert (await http.post("/auth/verify-email", json={"token": code})).status_code == 204
        logged_in = await http.post("/auth/login", json=login)
        assert (logged_in.status_code, logged_in.json()["user"]["is_verified"]) == (200, True)
        assert box.is_empty


async def test_registering_a_known_address_tells_its_owner_and_nobody_else(database_url: str, redis_url: str) -> None:
    async with posting(database_url, redis_url, verify_email=True) as (hansard, box), hansard.client() as http:
        answers = []
        for email, username in (("ada@example.com", "one"), ("ADA@example.com", "two")):
            body = {"email": email, "username": username, "password": PASSWORD}
            answers.append(await http.post("/auth/register", json=body, headers={"Idempotency-Key": username}))
            replayed = await http.post("/auth/register", json=body, headers={"Idempotency-Key": username})
            assert replayed.content == answers[-1].content
        fresh, known = answers
        assert (fresh.status_code, frozenset(fresh.headers)) == (known.status_code, frozenset(known.headers))
        assert fresh.json().keys() == known.json().keys() and known.json()["email"] == "ADA@example.com"
        assert "confirm" in (await box.next()).subject.lower()
        told = await box.next()
        assert (told.to, told.subject) == ("ADA@example.com", "You have an account already")
        assert box.is_empty
        for username in ("one", "two"):
            taken = {"email": f"{username}@x.example", "username": username, "password": PASSWORD}
            assert_problem(await http.post("/auth/register", json=taken), 409, "account.username_taken")
        made = (await hansard.services.command_bus.see(ACCOUNT, UserId(UUID(known.json()["id"])))).state
        assert made is not None and made.email == "", "it opens to nobody"


async def test_mails_to_one_address_are_limited(database_url: str, redis_url: str) -> None:
    async with posting(database_url, redis_url, quotas=replace(OFF, mails=Quota("mails", 1, 3600, 2))) as (hansard, _):
        async with hansard.client() as http:
            for email in ("ada@example.com", "nobody@example.com"):
                asked = [await http.post("/auth/password/forgot", json={"email": email.upper()}) for _ in range(3)]
                assert [answer.status_code for answer in asked] == [202, 202, 429]


async def test_codes_are_guessed_no_faster_than_passwords(database_url: str, redis_url: str) -> None:
    limited = replace(OFF, logins=Quota("logins", 1, 60, 4))
    async with posting(database_url, redis_url, quotas=limited) as (hansard, _), hansard.client() as http:
        guess = {"token": f"{'0' * 32}.{'A' * 43}"}
        statuses = [
            (await http.post("/auth/password/reset", json=guess | {"password": NEW})).status_code for _ in range(2)
        ]
        statuses += [(await http.post("/auth/verify-email", json=guess)).status_code for _ in range(3)]
        assert statuses == [422] * 4 + [429]


MAIL = Mail("ada@example.com", "A subject", "A text of Ada's: äöü\n.\nand more")


async def test_a_folder_keeps_mails_for_its_owner_alone(tmp_path: Path) -> None:
    mails = open_mail("", folder=tmp_path / "mails", sender="Hansard <h@example.com>")
    assert isinstance(mails, FolderMail)
    await asyncio.gather(*(mails.send(MAIL) for _ in range(3)))
    files = list((tmp_path / "mails").iterdir())
    assert len(files) == 3 and {file.stat().st_mode & 0o777 for file in files} == {0o600}
    _is_the_mail(files[0].read_bytes())
    with pytest.raises(ValueError):
        await mails.send(Mail("ada@example.com\r\nBcc: eve@example.com", "x", "y"))


async def test_smtp_takes_a_mail_and_a_server_that_does_not_is_told_without_the_mail() -> None:
    taken: list[bytes] = []
    async with smtp(taken) as port:
        await SmtpMail(f"smtp+plain://127.0.0.1:{port}", sender="Hansard <h@example.com>").send(MAIL)
        _is_the_mail(taken[0])
        with pytest.raises(MailUnavailableError) as refused:
            await SmtpMail(f"smtp://127.0.0.1:{port}", sender="h@example.com").send(MAIL)
        assert "text of Ada" not in str(refused.value), "without STARTTLS nothing is sent"
        assert len(taken) == 1
    with pytest.raises(MailUnavailableError):
        await SmtpMail(f"smtp+plain://127.0.0.1:{port}", sender="h@example.com").send(MAIL)


def _is_the_mail(raw: bytes) -> None:
    mail = message_from_bytes(raw, policy=default)
    assert (mail["To"], mail["Subject"], mail["From"]) == (MAIL.to, MAIL.subject, "Hansard <h@example.com>")
    body = mail.get_body()
    assert body is not None and body.get_content().strip() == MAIL.text


@asynccontextmanager
async def smtp(taken: list[bytes]) -> AsyncIterator[int]:
    """A server that speaks as much of RFC 5321 as a client needs."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        say: Callable[[bytes], None] = writer.write
        say(b"220 here\r\n")
        while line := await reader.readline():
            if line.upper().startswith(b"DATA"):
                say(b"354 go on\r\n")
                data = await reader.readuntil(b"\r\n.\r\n")
                taken.append(data[:-5].replace(b"\r\n..", b"\r\n."))
            if line.upper().startswith(b"QUIT"):
                say(b"221 bye\r\n")
                break
            say(b"250 ok\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
