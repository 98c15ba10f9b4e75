"""The first API over real HTTP: accounts, rooms, memberships, messages, and what a client may rely on around them."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from litestar.routes import HTTPRoute

from commands.message import PostMessage
from domain.events import Caller
from domain.ids import MessageId, RoomId, UserId
from gateway.app import routes
from projections.message_pages import PAGE_TEXT_BYTES_MAX
from tests.deployments import PASSWORD, Gateway, deployment
from tests.lines import line


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def test_two_people_chat(hansard: Gateway) -> None:
    ada, ben = await hansard.person("ada"), await hansard.person("ben")
    room_id = await ada.room(name="Lobby")
    await ben.ask("POST", f"/rooms/{room_id}/join", 200)
    said = await ada.say(room_id, "Hello")
    page = await ben.ask("GET", f"/rooms/{room_id}/messages", 200, headers={"Hansard-After": str(said["position"])})
    assert [message["content"] for message in page["items"]] == ["Hello", "member.joined"]
    assert page["items"][0] == {**said, "reactions": [], "pinned": False}
    assert page["items"][1]["sender_id"] is None
    assert page["items"][1]["subjects"] == [ben.id]
    assert page["next_cursor"] is None


async def test_a_taken_name_or_email_is_refused_however_it_is_spelt(hansard: Gateway) -> None:
    await hansard.person("ada")
    async with hansard.client() as http:
        same = {"email": "other@example.com", "username": "ADA", "password": PASSWORD}
        answer = await http.post("/auth/register", json=same)
        assert (answer.status_code, answer.json()["code"]) == (409, "account.username_taken")
        same = {"email": "Ada@Example.com", "username": "someone", "password": PASSWORD}
        answer = await http.post("/auth/register", json=same)
        assert (answer.status_code, answer.json()["code"]) == (409, "account.email_taken")


async def test_wrong_password_and_unknown_email_get_the_same_answer(hansard: Gateway) -> None:
    ada = await hansard.person()
    async with hansard.client() as http:
        bodies = []
        for email in (ada.email, "nobody@example.com"):
            answer = await http.post(
                "/auth/login", json={"email": email, "password": "wrong wrong"}, headers={"X-Request-Id": "same"}
            )
            assert answer.status_code == 401
            bodies.append(answer.content)
        assert bodies[0] == bodies[1]


async def test_a_refresh_token_is_good_once_and_its_reuse_ends_the_session(hansard: Gateway) -> None:
    ada = await hansard.person()
    async with hansard.client() as http:
        first = {"refresh_token": ada.tokens["refresh_token"]}
        fresh = (await http.post("/auth/refresh", json=first)).json()
        assert fresh["refresh_token"] != ada.tokens["refresh_token"]
        answer = await http.post("/auth/refresh", json=first)
        assert (answer.status_code, answer.json()["code"]) == (401, "auth.session_revoked")
        answer = await http.post("/auth/refresh", json={"refresh_token": fresh["refresh_token"]})
        assert (answer.status_code, answer.json()["code"]) == (401, "auth.session_revoked")
    answer = await ada.http.get("/users/me")
    assert (answer.status_code, answer.json()["code"]) == (401, "auth.session_revoked")


async def test_logout_ends_the_session_at_once(hansard: Gateway) -> None:
    ada = await hansard.person()
    await ada.ask("POST", "/auth/logout", 204)
    await ada.ask("GET", "/users/me", 401)


async def test_a_private_room_does_not_exist_for_strangers(hansard: Gateway) -> None:
    ada, eve = await hansard.person(), await hansard.person()
    room_id = await ada.room(is_private=True)
    said = await ada.say(room_id, "secret")
    await eve.ask("GET", f"/rooms/{room_id}", 404)
    await eve.ask("GET", f"/rooms/{room_id}/messages", 404)
    await eve.ask("GET", f"/rooms/{room_id}/members", 404)
    await eve.ask("POST", f"/rooms/{room_id}/join", 404)
    await eve.ask("POST", f"/rooms/{room_id}/messages", 404, json={"content": "let me in"})
    await eve.ask("POST", f"/rooms/{room_id}/messages", 404, json={"wrong": "body"})
    await eve.ask("PATCH", f"/rooms/{room_id}", 404, json={"name": "mine"})
    await eve.ask("GET", f"/messages/{said['id']}", 404)
    await eve.ask("PATCH", f"/messages/{said['id']}", 404, json={"content": "x"})
    await eve.ask("DELETE", f"/messages/{said['id']}", 404)
    await eve.ask("GET", f"/messages/{said['id']}/history", 404)
    assert room_id not in [room["id"] for room in (await eve.ask("GET", "/rooms", 200))["items"]]


async def test_faults_are_told_in_the_order_of_the_contract(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room()
    async with hansard.client() as stranger:
        answer = await stranger.post(f"/rooms/{room_id}/messages", json={"bad": 1})
        assert answer.status_code == 401
    await ben.ask("POST", f"/rooms/{uuid4()}/messages", 404, json={"bad": 1})
    await ben.ask("POST", f"/rooms/{room_id}/messages", 403, json={"bad": 1})
    await ada.ask("POST", f"/rooms/{room_id}/messages", 422, json={"bad": 1})
    await ada.ask("DELETE", f"/rooms/{room_id}", 204)
    await ada.ask("POST", f"/rooms/{room_id}/messages", 409, json={"content": "x"})


async def test_a_banned_person_is_kept_out_until_added_again(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben)
    await ada.ask("DELETE", f"/rooms/{room_id}/members/{ben.id}?ban=true", 204)
    answer = await ben.ask("POST", f"/rooms/{room_id}/join", 403)
    assert answer["code"] == "room.banned"
    position = (await ada.http.get("/meta")).json()["position"]
    after = {"Hansard-After": str(position)}
    assert (await ben.ask("GET", f"/rooms/{room_id}/messages", 403, headers=after))["code"] == "room.banned"
    await ada.ask("PUT", f"/rooms/{room_id}/members/{ben.id}", 200, json={"role": "member"})
    await ben.say(room_id, "back")


async def test_a_room_always_keeps_an_owner(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben)
    assert (await ada.ask("POST", f"/rooms/{room_id}/leave", 409))["code"] == "room.last_owner"
    demote = {"json": {"role": "member"}}
    assert (await ada.ask("PUT", f"/rooms/{room_id}/members/{ada.id}", 409, **demote))["code"] == "room.last_owner"
    await ada.ask("PUT", f"/rooms/{room_id}/members/{ben.id}", 200, json={"role": "owner"})
    left = await ada.http.post(f"/rooms/{room_id}/leave")
    assert left.status_code == 204
    after = {"Hansard-After": left.headers["hansard-position"]}
    assert (await ben.ask("GET", f"/rooms/{room_id}", 200, headers=after))["owner_id"] == ben.id


async def test_a_room_says_what_it_is_about(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben)
    path = f"/rooms/{room_id}"
    assert (await ada.ask("GET", path, 200))["topic"] is None
    assert (await ada.ask("PATCH", path, 200, json={"topic": "Lunch at noon"}))["topic"] == "Lunch at noon"
    assert (await ada.ask("PATCH", path, 200, json={"name": "Hall"}))["topic"] == "Lunch at noon"
    assert (await ada.ask("GET", path, 200))["topic"] == "Lunch at noon"
    rooms = (await ada.ask("GET", "/rooms", 200))["items"]
    assert [each["topic"] for each in rooms if each["id"] == room_id] == ["Lunch at noon"]
    for topic in ("x" * 251, "two\nlines", "", 7):
        assert (await ada.ask("PATCH", path, 422, json={"topic": topic}))["errors"][0]["pointer"] == "/topic"
    assert (await ada.ask("PATCH", path, 200, json={"topic": "é" * 250}))["topic"] == "é" * 250
    assert (await ben.ask("PATCH", path, 403, json={"topic": "mine"}))["code"] == "room.role_too_low"
    assert (await ada.ask("PATCH", path, 200, json={"topic": None}))["topic"] is None
    told = []
    async with line(hansard, ada, room_id, "?after=0") as hers:
        while (frame := await hers.frame())["type"] != "live":
            if frame.get("event") == "room.changed":
                told.append(frame["data"]["topic"])
    assert told == ["Lunch at noon", "Lunch at noon", "é" * 250, None]


async def test_a_message_id_is_idempotent_for_ever(hansard: Gateway) -> None:
    ada = await hansard.person()
    room_id, other_id = await ada.room(), await ada.room()
    body = {"id": str(uuid4()), "content": "once"}
    first = await ada.ask("POST", f"/rooms/{room_id}/messages", 201, json=body)
    await ada.ask("PATCH", f"/messages/{first['id']}", 200, json={"content": "edited since"})
    again = await ada.ask("POST", f"/rooms/{room_id}/messages", 200, json=body)
    assert again["position"] == first["position"]
    taken = await ada.ask("POST", f"/rooms/{room_id}/messages", 409, json={**body, "content": "other"})
    assert taken["code"] == "message.id_taken"
    await ada.ask("POST", f"/rooms/{other_id}/messages", 409, json=body)


async def test_an_idempotency_key_gives_the_same_answer(hansard: Gateway) -> None:
    ada = await hansard.person()
    headers = {"Idempotency-Key": "open-1"}
    first = await ada.http.post("/rooms", json={"name": "Once"}, headers=headers)
    again = await ada.http.post("/rooms", json={"name": "Once"}, headers=headers)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["hansard-position"] == first.headers["hansard-position"]
    other = await ada.http.post("/rooms", json={"name": "Twice"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency.mismatch")


async def test_a_stale_if_match_is_refused(hansard: Gateway) -> None:
    ada = await hansard.person()
    room_id = await ada.room()
    said = await ada.http.post(f"/rooms/{room_id}/messages", json={"content": "one"})
    path, etag = f"/messages/{said.json()['id']}", said.headers["etag"]
    await ada.ask("PATCH", path, 200, json={"content": "two"}, headers={"If-Match": etag})
    stale = await ada.ask("PATCH", path, 412, json={"content": "three"}, headers={"If-Match": etag})
    assert stale["code"] == "version.stale"
    room = await ada.http.get(f"/rooms/{room_id}")
    await ada.ask("PATCH", f"/rooms/{room_id}", 200, json={"name": "New"}, headers={"If-Match": room.headers["etag"]})
    await ada.ask("PATCH", f"/rooms/{room_id}", 412, json={"name": "Newer"}, headers={"If-Match": room.headers["etag"]})
    me = await ada.http.get("/users/me")
    await ada.ask(
        "PUT",
        "/users/me",
        200,
        json={"avatar_url": "https://x.example/a.png"},
        headers={"If-Match": me.headers["etag"]},
    )
    await ada.ask("PUT", "/users/me", 412, json={"avatar_url": None}, headers={"If-Match": me.headers["etag"]})


async def test_the_versions_of_a_message_come_in_pages_and_none_tells_a_deleted_text(hansard: Gateway) -> None:
    ada = await hansard.person()
    room_id = await ada.room()
    said = await ada.say(room_id, "version 1")
    for i in range(2, 6):
        await ada.ask("PATCH", f"/messages/{said['id']}", 200, json={"content": f"version {i}"})
    path, seen = f"/messages/{said['id']}/history?limit=2", []
    page = await ada.ask("GET", path, 200)
    while True:
        seen += [(item["version"], item["content"]) for item in page["items"]]
        if page["next_cursor"] is None:
            break
        page = await ada.ask("GET", f"{path}&cursor={page['next_cursor']}", 200)
    assert seen == [(i, f"version {i}") for i in range(1, 6)]
    first = await ada.ask("GET", path, 200)
    await ada.ask("DELETE", f"/messages/{said['id']}", 200)
    for query in ("", f"&cursor={first['next_cursor']}"):
        page = await ada.ask("GET", f"{path}{query}", 200)
        assert [item["content"] for item in page["items"]] == ["", ""]
    assert (await ada.ask("GET", f"/messages/{said['id']}/history?cursor=x", 422))["code"] == "cursor.invalid"


async def test_pages_walk_the_whole_history_without_a_seam(hansard: Gateway) -> None:
    ada = await hansard.person()
    room_id = await ada.room()
    said = [(await ada.say(room_id, f"m{i}"))["id"] for i in range(23)]
    found: list[str] = []
    cursor: str | None = None
    while True:
        query = f"?limit=5{f'&cursor={cursor}' if cursor else ''}"
        page = await ada.ask("GET", f"/rooms/{room_id}/messages{query}", 200)
        found += [message["id"] for message in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == said[::-1]
    middle = (await ada.ask("GET", f"/messages/{said[10]}", 200))["position"]
    around = await ada.ask("GET", f"/rooms/{room_id}/messages?around={middle}&limit=5", 200)
    assert [message["content"] for message in around["items"]] == ["m8", "m9", "m10", "m11", "m12"]
    after = await ada.ask("GET", f"/rooms/{room_id}/messages?after={middle}&limit=3", 200)
    assert [message["content"] for message in after["items"]] == ["m11", "m12", "m13"]


async def test_a_deleted_message_is_a_tombstone_everywhere(hansard: Gateway) -> None:
    ada = await hansard.person()
    room_id = await ada.room()
    said = await ada.say(room_id, "regretted")
    await ada.ask("PATCH", f"/messages/{said['id']}", 200, json={"content": "still regretted"})
    gone = await ada.ask("DELETE", f"/messages/{said['id']}", 200)
    assert (gone["content"], gone["deleted"], gone["position"]) == ("", True, said["position"])
    page = await ada.http.get(f"/rooms/{room_id}/messages")
    history = await ada.http.get(f"/messages/{said['id']}/history")
    assert b"regretted" not in page.content + history.content
    assert [version["version"] for version in history.json()["items"]] == [1, 2, 3]
    assert (await ada.ask("PATCH", f"/messages/{said['id']}", 409, json={"content": "x"}))["code"] == "message.deleted"


async def test_system_messages_cannot_be_changed(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben)
    (system,) = (await ada.ask("GET", f"/rooms/{room_id}/messages", 200))["items"]
    assert (system["message_type"], system["content"], system["subjects"]) == (
        "system",
        "member.joined",
        [ben.id, ada.id],
    )
    assert (await ada.ask("PATCH", f"/messages/{system['id']}", 409, json={"content": "x"}))["code"] == "message.system"
    assert (await ada.ask("DELETE", f"/messages/{system['id']}", 409))["code"] == "message.system"


async def test_reading_moves_forward_and_counts_what_is_unread(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben)
    positions = [(await ada.say(room_id, f"m{i}"))["position"] for i in range(4)]
    room = await ben.ask("GET", f"/rooms/{room_id}", 200, headers={"Hansard-After": str(positions[-1])})
    assert (room["unread"], room["read_position"], room["last_message"]["content"]) == (4, 0, "m3")
    marked = await ben.http.put(f"/rooms/{room_id}/read", json={"position": positions[1]})
    assert marked.status_code == 204
    room = await ben.ask("GET", f"/rooms/{room_id}", 200)
    assert (room["unread"], room["read_position"]) == (2, positions[1])
    await ben.ask("PUT", f"/rooms/{room_id}/read", 204, json={"position": 1})
    assert (await ben.ask("GET", f"/rooms/{room_id}", 200))["read_position"] == positions[1]


async def test_hansard_after_beyond_the_record_is_said_at_once(hansard: Gateway) -> None:
    ada = await hansard.person()
    answer = await ada.ask("GET", "/rooms", 409, headers={"Hansard-After": "99999999"})
    assert answer["code"] == "record_changed"


async def test_html_is_sanitised_and_only_sent_when_asked_for(hansard: Gateway) -> None:
    ada = await hansard.person()
    room_id = await ada.room()
    text = "**bold** <script>alert(1)</script> [x](javascript:alert(1)) [y](https://y.example)"
    said = await ada.say(room_id, text)
    assert "html" not in said and said["content"] == text
    after = {"Hansard-After": str(said["position"])}
    shown = await ada.ask("GET", f"/messages/{said['id']}?render=html", 200, headers=after)
    assert "<strong>bold</strong>" in shown["html"]
    assert "<script" not in shown["html"] and 'href="javascript' not in shown["html"]
    assert 'href="https://y.example"' in shown["html"]


async def test_pages_of_messages_are_bounded_in_bytes_and_go_on(hansard: Gateway) -> None:
    """No-break spaces take two bytes, and six in HTML: 20 kB a message, and 80 kB with it, of which a dozen fit a page."""
    ada = await hansard.person()
    room_id = await ada.room()
    posts = [PostMessage(RoomId(UUID(room_id)), MessageId(uuid4()), f"{i}*" + "\u00a0" * 9_990) for i in range(120)]
    position = 0
    for post in posts:
        position = (await hansard.services.command_bus.do(post, Caller(user_id=UserId(UUID(ada.id))))).position
    after = {"Hansard-After": str(position)}

    async def page(query: str) -> dict[str, Any]:
        found: dict[str, Any] = await ada.ask("GET", f"/rooms/{room_id}/messages?limit=200&{query}", 200, headers=after)
        return found

    plain = [str(post.message_id) for post in reversed(posts)]
    for query, render, expected in (
        ("", "", plain),
        ("after=0", "", plain[::-1]),
        ("", "&render=html", plain),
        ("after=0", "&render=html", plain[::-1]),
    ):
        shown = await page(query + render)
        sizes = [len((message["content"] + message.get("html", "")).encode()) for message in shown["items"]]
        assert PAGE_TEXT_BYTES_MAX - 2 * max(sizes) < sum(sizes) <= PAGE_TEXT_BYTES_MAX
        found = [message["id"] for message in shown["items"]]
        while shown["next_cursor"] is not None:
            shown = await page(f"cursor={shown['next_cursor']}{render}")
            found += [message["id"] for message in shown["items"]]
        assert found == expected
    middle = plain[60]
    place = (await ada.ask("GET", f"/messages/{middle}", 200))["position"]
    for render, most in (("", 60), ("&render=html", 20)):
        near = await page(f"around={place}{render}")
        stretch = [message["id"] for message in near["items"]]
        assert near["next_cursor"] is None and middle in stretch[4:-4]
        assert "".join(stretch) in "".join(plain[::-1]), "a stretch without a gap"
        assert len(stretch) < most


async def test_the_audit_trail_is_for_auditors_with_a_reason_and_is_itself_recorded(hansard: Gateway) -> None:
    from commands.account import GrantRole
    from domain.events import Caller
    from domain.ids import UserId

    ada, eve = await hansard.person(), await hansard.person()
    room_id = await eve.room()
    said = await eve.say(room_id, "before")
    await eve.ask(
        "PATCH", f"/messages/{said['id']}", 200, json={"content": "after"}, headers={"Hansard-Reason": "typo"}
    )
    why = {"Hansard-Reason": "case 7"}
    assert (await ada.ask("GET", "/audit/events", 403, headers=why))["code"] == "auth.role_needed"
    from uuid import UUID

    assert await ada.ask("GET", "/users/me/roles", 200) == {"roles": []}
    await hansard.services.command_bus.do(GrantRole(UserId(UUID(ada.id)), "auditor"), Caller())
    assert await ada.ask("GET", "/users/me/roles", 200) == {"roles": ["auditor"]}
    assert (await ada.ask("GET", "/audit/events", 422))["code"] == "reason.missing"
    page = await ada.ask("GET", f"/audit/events?actor={eve.id}&type=message.edited", 200, headers=why)
    (entry,) = page["items"]
    assert (entry["data"]["content"], entry["before"]["content"]) == ("after", "before")
    assert (entry["actor"], entry["reason"], entry["room_id"]) == (eve.id, "typo", room_id)
    assert entry["address"] == "127.0.0.1" and entry["agent"].startswith("python-httpx")
    one = await ada.ask("GET", f"/audit/events/{entry['position']}", 200, headers=why)
    assert one == {**entry, "inclusion": None}, "no notary signed it"
    await ada.ask("GET", f"/audit/events?actor={eve.id}&type=message.edited", 200, headers=why)
    reads = await ada.ask("GET", "/audit/events?type=audit.read", 200, headers=why)
    filters = [read["data"]["filter"] for read in reads["items"]]
    assert filters.count(f"/api/v1/audit/events?actor={eve.id}&type=message.edited") == 1
    assert all(read["reason"] == "case 7" for read in reads["items"])
    everything = (await ada.http.get("/audit/events?limit=200", headers=why)).text
    assert "password_hash" not in everything and "token_hash" not in everything


def test_no_route_awaits_its_dependencies_in_a_task_group() -> None:
    """Litestar makes one for those that stand side by side: it cost more than the dependencies, a seventh of a page."""
    found = [route for route in routes("").routes if isinstance(route, HTTPRoute)]
    models = [model for route in found for _, model in route.route_handler_map.values()]
    batches = [batch for model in models for batch in model.dependency_batches]
    assert len(batches) > 50
    assert [sorted(each.key for each in batch) for batch in batches if len(batch) > 1] == []
