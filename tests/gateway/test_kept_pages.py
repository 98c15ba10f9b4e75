"""Kept pages: they are served as long as nothing that they show has changed, to those who may read them, and not for long."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from adapters.postgres.database import Database
from domain.ids import RoomId
from gateway.http.kept_pages import KEPT_PAGE_BYTES_MAX, KeptPage, KeptPages, PageKey
from projections import LIVE, MESSAGE_HTML
from tests.deployments import Gateway, Person, as_login, deployment, ledger
from workers.rebuild import Rebuild

LIMIT = 50
EDITED_BY_HAND = "UPDATE read.messages SET content = 'not what was said' WHERE position = $1"
HTML_BY_HAND = "UPDATE read.message_html SET html = 'not what was said' WHERE position = $1"
WITHOUT_HTML = "DELETE FROM read.message_html WHERE position = $1"
WITH_HTML = "INSERT INTO read.message_html (position, version, html) VALUES ($1, 1, '<p>late</p>')"


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


class Scene:
    """A room of two with a few messages, and its newest page."""

    def __init__(self, hansard: Gateway, ada: Person, ben: Person, room_id: str, said: list[dict[str, Any]]) -> None:
        self.hansard, self.ada, self.ben, self.room_id, self.said = hansard, ada, ben, room_id, said
        self.path = f"/rooms/{room_id}/messages"
        self.last = said[-1]

    def kept(self, *, html: bool = False) -> KeptPage | None:
        return self.hansard.services.kept_pages.find(PageKey(RoomId(UUID(self.room_id)), None, LIMIT, html))

    async def read(self, person: Person, *, after: int = 0, html: bool = False, status: int = 200) -> httpx.Response:
        answer = await person.http.get(
            self.path, params={"render": "html"} if html else {}, headers={"Hansard-After": str(after)} if after else {}
        )
        assert answer.status_code == status, answer.text
        return answer

    async def warm(self, *, html: bool = False) -> bytes:
        """Read the page until it is kept, and once from what is kept."""
        self.hansard.services.kept_pages.clear()
        position = (await self.hansard.services.record.head()).position
        first = await self.read(self.ada, after=position, html=html)
        assert first.content == (await self.read(self.ada, html=html)).content
        assert self.kept(html=html)
        kept = await self.read(self.ada, html=html)
        assert kept.content == first.content
        for name in ("content-type", "cache-control", "content-length", "content-security-policy"):
            assert kept.headers[name] == first.headers[name], name
        return kept.content

    async def renewed(self, position: int, *, html: bool = False) -> bytes:
        """Read the page with what is kept of it, and without; both are the same. What was kept is so no more."""
        kept = self.kept(html=html)
        assert kept is not None
        shown = (await self.read(self.ada, after=position, html=html)).content
        assert self.kept(html=html) is not kept
        self.hansard.services.kept_pages.clear()
        assert shown == (await self.read(self.ada, html=html)).content
        return shown


async def scene(hansard: Gateway, ada: Person, ben: Person, **fields: Any) -> Scene:
    room_id = await ada.room(ben, **fields)
    return Scene(hansard, ada, ben, room_id, [await ada.say(room_id, text) for text in ("*one*", "two", "three")])


async def asked(person: Person, method: str, path: str, **options: Any) -> int:
    """Ask, and return the position."""
    answer = await person.http.request(method, path, **options)
    assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
    return int(answer.headers["Hansard-Position"])


CHANGES: dict[str, Callable[[Scene], Awaitable[int]]] = {
    "posted": lambda s: asked(s.ben, "POST", s.path, json={"content": "four"}),
    "edited": lambda s: asked(s.ada, "PATCH", f"/messages/{s.last['id']}", json={"content": "other"}),
    "deleted": lambda s: asked(s.ada, "DELETE", f"/messages/{s.said[0]['id']}"),
    "reacted": lambda s: asked(s.ben, "PUT", f"/messages/{s.last['id']}/reactions/{quote('👍')}"),
    "pinned": lambda s: asked(s.ada, "PUT", f"/messages/{s.said[0]['id']}/pin"),
    "unpinned": lambda s: asked(s.ada, "DELETE", f"/messages/{s.said[1]['id']}/pin"),
    "replied aside": lambda s: asked(s.ben, "POST", s.path, json={"content": "aside", "thread_id": s.last["id"]}),
    "replied in the room": lambda s: asked(
        s.ben, "POST", s.path, json={"content": "here", "thread_id": s.last["id"], "in_room": True}
    ),
    "role changed": lambda s: asked(s.ada, "PUT", f"/rooms/{s.room_id}/members/{s.ben.id}", json={"role": "admin"}),
    "removed": lambda s: asked(s.ada, "DELETE", f"/rooms/{s.room_id}/members/{s.ben.id}"),
    "left": lambda s: asked(s.ben, "POST", f"/rooms/{s.room_id}/leave"),
    "room changed": lambda s: asked(s.ada, "PATCH", f"/rooms/{s.room_id}", json={"name": "Another"}),
    "archived": lambda s: asked(s.ada, "DELETE", f"/rooms/{s.room_id}"),
}


async def test_whatever_changes_what_a_page_shows_is_in_the_next_one(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    for name, change in CHANGES.items():
        s = await scene(hansard, ada, ben)
        await asked(ada, "PUT", f"/messages/{s.said[1]['id']}/pin")
        before = await s.warm()
        position = await change(s)
        assert await s.renewed(position) != before, name


async def test_html_is_that_of_the_text_and_is_there_as_soon_as_it_is(hansard: Gateway, database_url: str) -> None:
    s = await scene(hansard, await hansard.person(), await hansard.person())
    await s.warm(html=True)
    position = await asked(s.ada, "PATCH", f"/messages/{s.said[0]['id']}", json={"content": "**other**"})
    assert b"<strong>other</strong>" in await s.renewed(position, html=True)
    owner = await asyncpg.connect(database_url)
    await owner.execute(WITHOUT_HTML, s.last["position"])
    assert b'"html":null' in await s.warm(html=True)
    await owner.execute(WITH_HTML, s.last["position"])
    await owner.close()
    assert b"<p>late</p>" in await s.renewed(position, html=True)


async def test_tables_that_were_made_anew_are_other_tables(hansard: Gateway, database_url: str) -> None:
    s = await scene(hansard, await hansard.person(), await hansard.person())
    await s.warm(html=True)  # the HTML is there
    owner = await asyncpg.connect(database_url)
    await owner.execute(EDITED_BY_HAND, s.last["position"])
    await owner.execute(HTML_BY_HAND, s.last["position"])
    await owner.close()
    other = await Database.open(as_login(database_url, "operator"), size=4)
    async with ledger(database_url) as (_, record, _):
        for group, html in ((LIVE, False), (MESSAGE_HTML, True)):
            assert b"not what was said" in await s.warm(html=html)
            await Rebuild(group, record, other, progress=lambda progress: None).run(swap=True)
            assert b"not what was said" not in await s.renewed(s.last["position"], html=html)
    await other.close()


async def test_a_kept_page_is_for_those_who_may_read_it(hansard: Gateway) -> None:
    ada, ben, eve = await hansard.person(), await hansard.person(), await hansard.person()
    for by, method, path in (
        (ben, "POST", "leave"),
        (ada, "DELETE", f"members/{ben.id}"),
        (ada, "DELETE", f"members/{ben.id}?ban=true"),
    ):
        s = await scene(hansard, ada, ben, is_private=True)
        whole = await s.warm()
        assert (await s.read(ben)).content == whole
        await s.read(eve, status=404)
        position = await asked(by, method, f"/rooms/{s.room_id}/{path}")
        assert s.kept()
        await s.read(ben, after=position, status=404)
        await s.warm()
        await s.read(ben, after=position, status=404)


async def test_what_was_said_before_ones_joining_is_in_nobody_elses_page(hansard: Gateway) -> None:
    ada, ben, eve = await hansard.person(), await hansard.person(), await hansard.person()
    s = await scene(hansard, ada, ben)
    position = await asked(ada, "PATCH", f"/rooms/{s.room_id}", json={"history": "joined"})
    position = await asked(eve, "POST", f"/rooms/{s.room_id}/join")
    await s.warm()
    for _ in range(3):
        assert b"three" not in (await s.read(eve, after=position)).content
        assert b"three" in (await s.read(ada)).content


async def test_the_past_and_other_pages_are_not_what_is_kept(hansard: Gateway) -> None:
    s = await scene(hansard, await hansard.person(), await hansard.person())
    newest = await s.warm()
    for query in (
        f"?as_of={s.said[1]['position']}",
        f"?before={s.last['position']}",
        "?limit=1",
        "?after=0",
        "?render=html",
    ):
        assert (await s.ada.http.get(s.path + query)).content != newest, query


async def test_a_page_with_more_than_its_rows_is_not_kept(hansard: Gateway) -> None:
    s = await scene(hansard, await hansard.person(), await hansard.person())
    position = await asked(s.ben, "PUT", f"/messages/{s.last['id']}/reactions/{quote('👍')}")
    for _ in range(3):
        await s.read(s.ada, after=position)
    assert s.kept() is None


async def test_a_page_that_was_read_before_all_were_dropped_is_not_kept(
    hansard: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = await scene(hansard, await hansard.person(), await hansard.person())
    whole = await s.warm()
    pages = hansard.services.kept_pages
    is_asked_again = pages.is_asked_again

    def once_all_are_dropped(key: PageKey, newest: int) -> bool:
        pages.clear()
        return is_asked_again(key, newest)

    monkeypatch.setattr(pages, "is_asked_again", once_all_are_dropped)
    pages.clear()
    for _ in range(3):
        assert (await s.read(s.ada)).content == whole
        assert s.kept() is None


KEY = PageKey(RoomId(uuid4()), None, LIMIT, False)


async def test_kept_bytes_are_bounded_and_dropped_after_a_while() -> None:
    pages = KeptPages(seconds=0.0, bytes_max=1_000)
    keys = [KEY._replace(limit=limit) for limit in range(20)]
    for key in keys:
        pages.keep(key, KeptPage(bytes(key.limit), b"x" * 100))
        pages.keep(key, KeptPage(bytes(key.limit), b"y" * 100))
        assert pages.bytes <= 1_000
    assert [key for key in keys if pages.find(key)] == keys[10:]
    async with asyncio.timeout(20):
        while pages.bytes:
            await asyncio.sleep(0)
    assert not any(map(pages.find, keys))
    pages = KeptPages()
    pages.keep(KEY, KeptPage(b"", b"x" * (KEPT_PAGE_BYTES_MAX + 1)))
    assert pages.find(KEY) is None and pages.bytes == 0


async def test_a_page_is_worth_keeping_when_it_is_asked_for_again_with_nothing_newer() -> None:
    pages = KeptPages()
    assert [pages.is_asked_again(KEY, newest) for newest in (7, 7, 8, 9, 9)] == [False, True, False, False, True]
    pages.keep(KEY, KeptPage(b"", b"x"))
    pages.clear()
    assert pages.find(KEY) is None and pages.bytes == 0


async def test_whoever_forgets_a_page_does_not_forget_the_one_that_took_its_place() -> None:
    pages, before, then = KeptPages(), KeptPage(b"1", b"before"), KeptPage(b"2", b"then")
    pages.keep(KEY, before)
    pages.keep(KEY, then)
    pages.forget(KEY, before)
    assert pages.find(KEY) is then
    pages.forget(KEY, then)
    assert pages.find(KEY) is None and pages.bytes == 0
