"""`?as_of=`: what was to be seen then, by today's rights; and through somebody else's eyes, on the record."""

from typing import Any
from uuid import UUID

import asyncpg

from commands.account import GrantRole
from commands.file import NoteScan
from domain.events import Caller
from domain.ids import FileId, UserId
from tests.deployments import Gateway, Person, deployment
from tests.gateway.test_operating import administrator

WHY = {"Hansard-Reason": "case 17"}


async def head_of(here: Gateway) -> int:
    return (await here.services.record.head()).position


async def texts(who: Person, room_id: str, **query: Any) -> list[str]:
    found = await who.ask("GET", f"/rooms/{room_id}/messages", 200, params=query)
    return [each["content"] for each in found["items"] if each["message_type"] != "system"]


async def test_a_room_is_seen_as_it_was_on_either_side_of_each_change(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url) as here:
        ada, ben, cleo = await here.person("ada"), await here.person("ben"), await here.person("cleo")
        before = await head_of(here)
        room_id = await ada.room(ben, name="Lobby")
        room, opened = f"/rooms/{room_id}", await head_of(here)
        said = await ada.say(room_id, "first")
        second = await ben.say(room_id, "second")
        await ada.ask("PUT", f"/messages/{said['id']}/reactions/👍", 204)
        whole = await head_of(here)
        await ada.ask("PATCH", f"/messages/{said['id']}", 200, json={"content": "**edited**"})
        await ada.ask("DELETE", f"/messages/{said['id']}/reactions/👍", 204)
        await ada.ask("PUT", f"/messages/{said['id']}/pin", 204)
        await ada.ask("PATCH", room, 200, json={"name": "Hall"})
        await ada.ask("PUT", f"{room}/members/{cleo.id}", 200, json={"role": "member"})
        await ada.ask("PUT", f"{room}/members/{ben.id}", 200, json={"role": "admin"})
        changed = await head_of(here)
        await ben.ask("DELETE", f"/messages/{second['id']}", 200)
        await cleo.ask("POST", f"{room}/leave", 204)
        end = await head_of(here)

        assert await texts(ada, room_id, as_of=whole) == ["", "first"], "what was deleted since is a tombstone"
        assert await texts(ada, room_id, as_of=opened) == []
        assert await texts(ada, room_id, as_of=changed) == ["", "**edited**"]
        assert await texts(ada, room_id, as_of=end) == await texts(ada, room_id)
        now = await ada.ask("GET", f"{room}/messages", 200, params={"render": "html"})
        items = (await ada.ask("GET", f"{room}/messages", 200, params={"as_of": whole, "render": "html"}))["items"]
        first = next(each for each in items if each["id"] == said["id"])
        assert (first["html"], first["pinned"], first["version"], first["is_edited"]) == (
            "<p>first</p>\n",
            False,
            1,
            False,
        )
        assert first["reactions"] == [{"emoji": "👍", "count": 1, "me": True}]
        assert now["items"][0]["reactions"] == []

        names = {
            position: await ada.ask("GET", room, 200, params={"as_of": position}) for position in (whole, changed, end)
        }
        assert [(each["name"], each["member_count"], each["my_role"]) for each in names.values()] == [
            ("Lobby", 2, "owner"), ("Hall", 3, "owner"), ("Hall", 2, "owner"),
        ]  # fmt: skip
        assert names[whole]["last_message"]["deleted"] is True and names[whole]["unread"] == 1
        [listed] = (await ada.ask("GET", "/rooms", 200, params={"as_of": whole}))["items"]
        assert listed == names[whole]
        assert (await ada.ask("GET", "/rooms", 200, params={"as_of": before}))["items"] == []
        for path in (room, f"{room}/members", f"{room}/messages"):
            assert (await ada.ask("GET", path, 404, params={"as_of": before}))["code"] == "room.not_found"
        roles = {
            position: [
                each["role"]
                for each in (await ada.ask("GET", f"{room}/members", 200, params={"as_of": position}))["items"]
            ]
            for position in (opened, changed, end)
        }
        assert roles == {
            opened: ["owner", "member"], changed: ["owner", "admin", "member"], end: ["owner", "admin"],
        }  # fmt: skip

        # A time stands for the last event until then, and the cursors of a page for the position of its first request.
        assert await texts(ada, room_id, as_of=said["created_at"]) == ["first"]
        page = await ada.ask("GET", f"{room}/messages", 200, params={"as_of": whole, "limit": 1})
        following = await ada.ask("GET", f"{room}/messages", 200, params={"cursor": page["next_cursor"], "limit": 1})
        assert following["items"][0]["content"] == "first" and following["items"][0]["version"] == 1
        forward = await ada.ask("GET", f"{room}/messages", 200, params={"as_of": whole, "after": 0, "limit": 200})
        assert max(each["position"] for each in forward["items"]) <= whole and forward["next_cursor"] is None
        members = await ada.ask("GET", f"{room}/members", 200, params={"as_of": changed, "limit": 1})
        rest = await ada.ask("GET", f"{room}/members", 200, params={"cursor": members["next_cursor"]})
        assert [each["role"] for each in rest["items"]] == ["admin", "member"]
        plain = await ada.ask("GET", f"{room}/messages", 200, params={"limit": 1})
        mixed = {"cursor": plain["next_cursor"], "as_of": whole}
        assert (await ada.ask("GET", f"{room}/messages", 422, params=mixed))["code"] == "query.invalid"

        for bad, code in (
            (end + 1, "as_of.beyond_head"), ("2999-01-01T00:00:00Z", "as_of.beyond_head"), ("yesterday", "query.invalid"),
            ("2026-11-27T12:00:00", "query.invalid"), ("-1", "query.invalid"), ("", "query.invalid"),
        ):  # fmt: skip
            for path in ("/rooms", room, f"{room}/members", f"{room}/messages"):
                answer = await ada.ask("GET", path, 422, params={"as_of": bad})
                assert (answer["code"], answer["errors"][0]["pointer"]) == (code, "?as_of"), (path, bad)
        ahead = await ada.ask("GET", f"{room}/messages", 409, params={"as_of": whole, "after": whole + 1})
        assert ahead["code"] == "record_changed"

        changes = (await ada.ask("GET", f"{room}/history", 200))["items"]
        told = [(each["type"], each["before"], each["after"]) for each in changes]
        assert told == [
            ("member.left", {"role": "member"}, {"role": None}),
            ("member.role_changed", {"role": "member"}, {"role": "admin"}),
            ("member.joined", {"role": None}, {"role": "member"}),
            ("room.changed", {"name": "Lobby"}, {"name": "Hall"}),
            ("message.pinned", {"pinned": False}, {"pinned": True}),
            ("member.joined", {"role": None}, {"role": "member"}),
            ("member.joined", {"role": None}, {"role": "owner"}),
            ("room.opened", {}, {"name": "Lobby", "description": None, "is_private": False, "history": "shared"}),
        ]  # fmt: skip
        assert (changes[4]["message_id"], changes[4]["actor_id"], changes[1]["user_id"]) == (said["id"], ada.id, ben.id)
        some = await ada.ask("GET", f"{room}/history", 200, params={"limit": 3})
        more = await ada.ask("GET", f"{room}/history", 200, params={"cursor": some["next_cursor"]})
        assert some["items"] + more["items"] == changes and more["next_cursor"] is None


async def test_the_past_is_seen_by_todays_rights_and_by_auditors_as_others(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url) as here:
        ada, ben, cleo, audra = [await here.person(name) for name in ("ada", "ben", "cleo", "audra")]
        await here.services.command_bus.do(GrantRole(UserId(UUID(audra.id)), "auditor"), Caller())
        public, private = await ada.room(ben, name="Open"), await ada.room(ben, cleo, name="Shut", is_private=True)
        await ada.say(private, "to three")
        inside = await head_of(here)
        await ada.ask("DELETE", f"/rooms/{private}/members/{cleo.id}", 204)
        await ada.ask("PATCH", f"/rooms/{private}", 200, json={"history": "joined"})
        await ada.ask("DELETE", f"/rooms/{public}/members/{ben.id}?ban=true", 204)
        of = {"as_of": inside}
        for path in ("", "/members", "/messages"):
            for who, room_id, status in (
                (cleo, private, 404), (audra, private, 404), (ben, private, 200),
                (ben, public, 403), (cleo, public, 200), (audra, public, 200),
            ):  # fmt: skip
                await who.ask("GET", f"/rooms/{room_id}{path}", status, params=of)
                await who.ask("GET", f"/rooms/{room_id}{path}", 422 if status == 200 else status, params={"as_of": "x"})
        for who, room_id, status in ((cleo, private, 404), (ben, public, 403), (cleo, public, 200)):
            await who.ask("GET", f"/rooms/{room_id}/history", status)
        listed = [each["id"] for each in (await cleo.ask("GET", "/rooms", 200, params=of))["items"]]
        assert listed == [public], "she is a member no more"
        late = await here.person("late")
        await ada.ask("PUT", f"/rooms/{private}/members/{late.id}", 200, json={"role": "member"})
        assert await texts(late, private, as_of=inside) == [], "today's rule of history"
        assert [each["type"] for each in (await late.ask("GET", f"/rooms/{private}/history", 200))["items"]] == [
            "member.joined"
        ]

        path = f"/rooms/{private}/messages"
        seen = await audra.ask("GET", path, 200, params={**of, "as": ben.id}, headers=WHY)
        assert seen == await ben.ask("GET", path, 200, params=of)
        assert (await audra.ask("GET", path, 404, params={**of, "as": cleo.id}, headers=WHY))[
            "code"
        ] == "room.not_found"
        assert (await audra.ask("GET", path, 422, params={**of, "as": ben.id}))["code"] == "reason.missing"
        assert (await ben.ask("GET", path, 403, params={**of, "as": ada.id}, headers=WHY))["code"] == "auth.role_needed"
        assert (await audra.ask("GET", path, 422, params={"as": ben.id}, headers=WHY))["code"] == "as.without_as_of"
        unknown = {**of, "as": public}
        assert (await audra.ask("GET", path, 404, params=unknown, headers=WHY))["code"] == "account.not_found"
        for other in ("/rooms", f"/rooms/{private}", f"/rooms/{private}/members"):
            answer = await audra.ask("GET", other, 200, params={**of, "as": ben.id}, headers=WHY)
            assert answer == await ben.ask("GET", other, 200, params=of)
        history = await audra.ask("GET", f"/rooms/{private}/history", 200, params={"as": ada.id}, headers=WHY)
        assert history == await ada.ask("GET", f"/rooms/{private}/history", 200)
        trail = await audra.ask("GET", "/audit/events", 200, params={"type": "audit.read"}, headers=WHY)
        asked = [(each["data"]["filter"], each["data"]["person"], each["reason"]) for each in trail["items"]]
        assert (f"/api/v1{path}?as={ben.id}&as_of={inside}", ben.id, "case 17") in asked


async def test_a_file_is_seen_as_it_was(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url) as here:
        ada = await here.person("ada")
        before = await head_of(here)
        file_id = FileId(UUID((await ada.upload(b"words", "a.txt"))["id"]))
        received = await head_of(here)
        await here.services.command_bus.do(NoteScan(file_id, "basic"), Caller())
        here.wrote(None, await head_of(here))
        now = await ada.ask("GET", f"/files/{file_id}", 200)
        then = await ada.ask("GET", f"/files/{file_id}", 200, params={"as_of": received})
        assert (now["status"], then["status"], then["scan"]) == ("completed", "pending", None)
        assert await ada.ask("GET", f"/files/{file_id}", 200, params={"as_of": await head_of(here)}) == now
        assert (await ada.ask("GET", f"/files/{file_id}", 404, params={"as_of": before}))["code"] == "file.not_found"
        stranger = await here.person("stranger")
        await stranger.ask("GET", f"/files/{file_id}", 404, params={"as_of": received})


async def test_where_it_is_switched_off_the_past_is_refused(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url, time_travel_on=False) as here:
        ada = await here.person("ada")
        room_id = await ada.room()
        for path in ("/rooms?as_of=1", f"/rooms/{room_id}?as_of=1", f"/rooms/{room_id}/history"):
            assert (await ada.ask("GET", path, 422))["code"] == "as_of.off"
        await ada.ask("GET", f"/rooms/{room_id}", 200)
        admin = await administrator(here)
        listed = (await admin.ask("GET", "/admin/projections", 200))["items"]
        assert [each["name"] for each in listed] == ["live", "message_html", "audit_index", "notifications"]
        await admin.ask("POST", "/admin/projections/past/rebuild", 404, json={})


async def test_tables_of_a_release_before_do_not_say_where_rooms_stood(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url) as here:
        ada = await here.person("ada")
        room_id, of = await ada.room(), {"as_of": await head_of(here)}
        [listed] = (await ada.ask("GET", "/rooms", 200, params=of))["items"]
        assert listed["id"] == room_id
        owner = await asyncpg.connect(database_url)
        await owner.execute("UPDATE read.checkpoints SET version = 1 WHERE name = 'past'")
        await owner.close()
        assert (await ada.ask("GET", "/rooms", 503, params=of))["code"] == "projection.behind"
        await ada.ask("GET", f"/rooms/{room_id}", 200, params=of)


async def test_the_replies_of_a_thread_are_as_they_were(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url) as here:
        ada = await here.person()
        room_id = await ada.room()
        before = await head_of(here)
        root = await ada.say(room_id, "root")
        path = f"/messages/{root['id']}/thread"
        first, second = [await ada.say(room_id, text, thread_id=root["id"]) for text in ("one", "two")]
        then = await head_of(here)
        await ada.ask("PATCH", f"/messages/{first['id']}", 200, json={"content": "ONE"})
        await ada.ask("DELETE", f"/messages/{second['id']}", 200)
        await ada.say(room_id, "three", thread_id=root["id"])

        async def replies(**asked: Any) -> list[str]:
            return [each["content"] for each in (await ada.ask("GET", path, 200, params=asked))["items"]]

        assert await replies(as_of=then) == ["one", ""], "what was deleted since is a tombstone"
        assert await replies(as_of=root["position"]) == []
        assert await replies(as_of=await head_of(here)) == await replies() == ["ONE", "", "three"]
        page = await ada.ask("GET", path, 200, params={"as_of": then, "limit": 1})
        rest = await ada.ask("GET", path, 200, params={"cursor": page["next_cursor"]})
        assert [each["content"] for each in (*page["items"], *rest["items"])] == ["one", ""]
        assert rest["next_cursor"] is None
        assert (await ada.ask("GET", path, 404, params={"as_of": before}))["code"] == "message.not_found"
        await (await here.person()).ask("GET", path, 200, params={"as_of": then})
