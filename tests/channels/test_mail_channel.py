"""Mails of notices: to addresses that are confirmed, without content unless that is shown, in threads, and stopped by one click."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from uuid import UUID

import pytest
from msgspec.structs import replace

from adapters.mail import FolderMail
from adapters.mail_links import MailLinks
from commands.email_token import IssueEmailToken, VerifyEmail
from domain.events import Caller
from domain.ids import EmailTokenId, UserId
from domain.ports.channels import Gone, Later, Notice, Told
from domain.ports.mail import Mail, MailUnavailableError
from tests.channels.test_push_sender import NOTICE, ROOM, SHOWN
from tests.deployments import LINKS, Gateway, Person, gateway
from tests.gateway.test_bad_input import assert_problem
from workers.channels.mail import MailChannel

FAR = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with gateway(database_url, redis_url) as made:
        yield made


def channel(hansard: Gateway, mails: object, links: MailLinks = LINKS) -> MailChannel:
    services = hansard.services
    return MailChannel(
        services.command_bus, mails, links, record_id=services.record_id, links_url="https://chat.example.com/app",  # type: ignore[arg-type]
    )  # fmt: skip


async def confirmed(hansard: Gateway) -> Person:
    """Register somebody whose address is confirmed."""
    person, bus = await hansard.person(), hansard.services.command_bus
    token = EmailTokenId(bus.new_id())
    issue = IssueEmailToken(token, UserId(UUID(person.id)), "verify_email", "hash", FAR)
    await bus.do(issue, Caller())
    await bus.do(VerifyEmail(token, "hash"), Caller())
    return person


def about(person: Person, notice: Notice, **fields: object) -> Notice:
    return replace(notice, account_id=UUID(person.id), **fields)


def read(folder: Path) -> list[EmailMessage]:
    files = sorted(folder.glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)
    return [message_from_bytes(path.read_bytes(), policy=default) for path in files]


async def test_a_mail_says_no_more_than_its_reader_lets_it(hansard: Gateway, tmp_path: Path) -> None:
    ada = await confirmed(hansard)
    mail = channel(hansard, FolderMail(tmp_path, sender="Hansard <chat@example.com>"))
    [target] = await mail.targets(UUID(ada.id))
    assert target == UUID(ada.id)
    shown = about(
        ada, SHOWN, position=43, count=1, actor_name="<b>ada</b>\r\nBcc: x@example.com", text="a <script>\nb & c"
    )
    for notice in (about(ada, NOTICE, count=1), about(ada, NOTICE, position=44), shown):
        assert await mail.tell(target, notice) == Told()
    one, many, whole = read(tmp_path)
    assert (one["Subject"], many["Subject"]) == ("Somebody mentioned you", "You were mentioned 3 times")
    for each in (one, many):
        assert each["To"] == ada.email and each["Auto-Submitted"] == "auto-generated"
        assert "does not say what was written" in text_of(each, "plain") and "Foyer" not in each.as_string()
    assert whole["Subject"] == "<b>ada</b> Bcc: x@example.com mentioned you in Foyer" and whole["Bcc"] is None
    assert "a <script>\nb & c" in text_of(whole, "plain")
    html = text_of(whole, "html")
    assert "a &lt;script&gt;<br>b &amp; c" in html and "<script" not in html and "<b>" not in html
    assert f'href="https://chat.example.com/app#message={NOTICE.message_id}"' in html
    assert not re.search(r"src=|url\(", html), "nothing is loaded, so nobody learns that it was read"


async def test_mails_of_a_room_are_a_thread_and_the_same_notice_is_the_same_mail(
    hansard: Gateway, tmp_path: Path
) -> None:
    ada, ben = await confirmed(hansard), await confirmed(hansard)
    mail = channel(hansard, FolderMail(tmp_path, sender="Hansard <chat@example.com>"))
    first, next_one = about(ada, NOTICE), about(ada, NOTICE, position=43, kind="thread")
    for notice in (first, first, next_one, about(ada, NOTICE, position=44, room_id=None), about(ben, NOTICE)):
        assert await mail.tell(notice.account_id, notice) == Told()
    one, two, alone, other = read(tmp_path)
    assert one["References"] == two["References"] == one["In-Reply-To"] and alone["References"] is None
    assert (
        len({each["Message-ID"] for each in (one, two, alone, other)}) == 4 and other["References"] != one["References"]
    )
    assert re.fullmatch(r"<[0-9a-f]{24}@example\.com>", one["Message-ID"])
    assert str(ROOM) not in one["References"] and ada.id not in one["Message-ID"]


async def test_one_click_stops_mails_and_looking_does_not(hansard: Gateway, tmp_path: Path) -> None:
    ada = await confirmed(hansard)
    mail = channel(hansard, FolderMail(tmp_path, sender="Hansard <chat@example.com>"))
    assert await mail.tell(UUID(ada.id), about(ada, NOTICE)) == Told()
    [path] = tmp_path.iterdir()  # noqa: ASYNC240
    [line] = [line for line in path.read_bytes().splitlines() if line.startswith(b"List-Unsubscribe: ")]
    url = line.decode().removeprefix("List-Unsubscribe: <").removesuffix(">")
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in path.read_bytes().splitlines()
    base, _, way = url.partition("/api/v1")
    assert base == "https://chat.example.com"
    http = hansard.client()
    for _ in range(3):
        page = await http.get(way)
        assert page.status_code == 200 and "<form method=post" in page.text and ada.email not in page.text
        assert "form-action 'self'" in page.headers["Content-Security-Policy"]
    assert await mail.targets(UUID(ada.id)) == [UUID(ada.id)]
    for _ in range(2):
        clicked = await http.post(way, data={"List-Unsubscribe": "One-Click"})
        assert clicked.status_code == 200 and "no more" in clicked.text
        assert await mail.targets(UUID(ada.id)) == []
    assert await mail.tell(UUID(ada.id), about(ada, NOTICE, position=50)) == Gone()
    again = way.replace("unsubscribe", "subscribe")
    assert (await http.post(again)).status_code == 200
    assert await mail.targets(UUID(ada.id)) == [UUID(ada.id)]
    token = way.partition("token=")[2]
    other = LINKS.unsubscribe(UUID(int=1))
    assert other is not None
    for bad in ("", "x", token[:-4], token[:-4] + "AAAA", token[:22] + other.partition("token=")[2][22:], "ä"):
        for method, path_of in (
            ("GET", "/mail/unsubscribe"),
            ("POST", "/mail/unsubscribe"),
            ("POST", "/mail/subscribe"),
        ):
            answer = await http.request(method, path_of, params={"token": bad})
            assert_problem(answer, 422, "mail.unsubscribe_invalid")
    topics = [each.event.topic for each in await hansard.services.record.after(0, limit=1_000)]
    assert topics.count("mail_notices.stopped") == topics.count("mail_notices.allowed") == 1


async def test_whoever_asks_for_mails_gets_them_again_and_sees_that_they_were_stopped(
    hansard: Gateway, tmp_path: Path
) -> None:
    ada, path = await confirmed(hansard), "/users/me/notifications"
    mail = channel(hansard, FolderMail(tmp_path, sender="Hansard <chat@example.com>"))
    link = LINKS.unsubscribe(UUID(ada.id))
    assert link is not None
    assert (await ada.ask("PUT", path, 200, json={"email": "daily"}))["email"] == "daily"
    assert (await hansard.client().post(link.partition("/api/v1")[2])).status_code == 200
    assert (await ada.ask("GET", path, 200))["email"] == "off"
    assert (await ada.ask("PUT", path, 200, json={"content": "shown"}))["email"] == "off"
    assert (await ada.ask("PUT", path, 200, json={"email": "off"}))["email"] == "off"
    assert await mail.targets(UUID(ada.id)) == [], "nothing but asking for them brings them back"
    assert (await ada.ask("PUT", path, 200, json={"email": "soon"}))["email"] == "soon"
    assert await mail.targets(UUID(ada.id)) == [UUID(ada.id)]


async def test_who_has_confirmed_no_address_gets_no_mail_and_a_server_that_is_away_is_asked_later(
    hansard: Gateway, tmp_path: Path
) -> None:
    class Away:
        async def send(self, mail: Mail) -> None:
            raise MailUnavailableError("mail.example.com:587 did not take a mail")

    ada, ben = await hansard.person(), await confirmed(hansard)
    mail = channel(hansard, Away())
    assert await mail.targets(UUID(ada.id)) == [] == await mail.targets(UUID(int=5))
    assert await mail.tell(UUID(ada.id), about(ada, NOTICE)) == Gone()
    assert await mail.tell(UUID(ben.id), about(ada, NOTICE)) == Gone(), "a notice of somebody else"
    assert isinstance(await mail.tell(UUID(ben.id), about(ben, NOTICE)), Later)
    nowhere = MailLinks("", secret=b"x", sender="hansard@localhost")
    unlinked = channel(hansard, FolderMail(tmp_path, sender="hansard@localhost"), nowhere)
    assert await unlinked.tell(UUID(ben.id), about(ben, NOTICE)) == Told()
    assert read(tmp_path)[0]["List-Unsubscribe"] is None


def text_of(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content())
