"""HEAD and conditions on every route that reads, by one mechanism; and what the door takes and shows of headers."""

import re
from typing import Any

from msgspec.structs import replace

from domain.quotas import OFF, Quota
from runtime.settings_reader import read
from tests.deployments import deployment
from tests.gateway.test_every_route import Asked, asked_of, wire


async def test_head_is_answered_as_get_is_without_a_body_and_what_is_known_is_not_sent_again(
    database_url: str, redis_url: str
) -> None:
    async with deployment(database_url, redis_url) as hansard, wire(hansard) as connection:
        ada = await hansard.person()
        signed = (f"Authorization: Bearer {ada.token}", "Hansard-Reason: a look")
        paths = (await ada.ask("GET", f"{hansard.base}/schema/openapi.json", 200))["paths"]
        tagged, told = 0, {}
        for asked in await asked_of(hansard, ada):
            if asked.method != "GET":
                continue
            status, head, _ = await connection.ask(asked._replace(headers=signed), b"")
            alike, headless, body = await connection.ask(asked._replace(method="HEAD", headers=signed), b"")
            assert (alike, body) == (status, b""), asked.target
            names = [{line.split(b":")[0].lower() for line in each.split(b"\r\n")[1:]} for each in (head, headless)]
            assert names[0] == names[1], asked.target
            described = paths.get(asked.target) or next(
                (paths[path] for path in paths if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), asked.target)), None
            )
            if described is not None:
                assert str(status) in described["head"]["responses"], asked.target
                assert not any("content" in answer for answer in described["head"]["responses"].values())
                told[asked.target] = status == 200 and "304" in described["get"]["responses"]
            if b"\r\netag:" not in head.lower():
                continue
            tagged += 1
            etag = head.lower().split(b"\r\netag: ")[1].split(b"\r\n")[0].decode()
            for tags, expected in (
                (etag, 304), (f'"x", W/{etag}', 304), ("*", 304), ('"x"', 200), (etag.replace('"', ""), 200),
            ):  # fmt: skip
                for method in ("GET", "HEAD"):
                    conditions = (*signed, f"If-None-Match: {tags}")
                    answer = await hansard.client().request(
                        method, hansard.base + asked.target, headers=dict(line.split(": ", 1) for line in conditions)
                    )
                    assert answer.status_code == expected, (asked.target, tags, method)
                    assert answer.headers["etag"] == etag and answer.headers["x-request-id"]
                    assert not answer.content if expected == 304 or method == "HEAD" else answer.content
            for tags, expected in (
                (etag, 200), (f'"x", ,{etag},', 200), ("*", 200), ('"x"', 412), (f"W/{etag}", 412), (etag[1:], 412),
            ):  # fmt: skip
                for method in ("GET", "HEAD"):
                    answer = await hansard.client().request(
                        method,
                        hansard.base + asked.target,
                        headers=[
                            *((name, value) for line in signed for name, value in [line.split(": ", 1)]),
                            *(("If-Match", tag) for tag in tags.split(", ")),
                            ("If-None-Match", '"other"'),
                        ],
                    )
                    assert answer.status_code == expected, (asked.target, tags, method)
                    if expected == 412 and method == "GET":
                        assert answer.json()["code"] == "version.stale"
                        assert answer.json()["request_id"] == answer.headers["x-request-id"]
                        assert answer.headers["content-type"] == "application/problem+json"
            assert told.pop(asked.target), "an ETag is in the document"
        assert not any(told.values())
        assert tagged >= 3, "a room, a message, a profile"
        assert Asked("GET", "/livez") in await asked_of(hansard, ada)


async def test_head_goes_wherever_get_goes_and_is_among_what_an_address_takes(
    database_url: str, redis_url: str
) -> None:
    async with deployment(database_url, redis_url) as hansard:
        ada = await hansard.person()
        room_id = await ada.room()
        for path in (
            "/rooms/x",
            "/messages/7",
            "/users/0",
            f"/rooms/{room_id}x/members",
            "/nowhere",
            "/files/x/content",
        ):
            for method in ("GET", "HEAD"):
                assert (await ada.http.request(method, path)).status_code == 404, (method, path)
        for method, path, status, allowed in (
            ("OPTIONS", "/rooms", 204, "GET, HEAD, OPTIONS, POST"),
            ("PUT", "/rooms", 405, "GET, HEAD, OPTIONS, POST"),
            ("PUT", f"/rooms/{room_id}", 405, "DELETE, GET, HEAD, OPTIONS, PATCH"),
            ("HEAD", "/auth/login", 405, "OPTIONS, POST"),
            ("GET", "/auth/login", 405, "OPTIONS, POST"),
        ):
            answer = await ada.http.request(method, path)
            assert (answer.status_code, answer.headers["allow"]) == (status, allowed), (method, path)


async def test_a_write_is_done_to_any_of_the_versions_that_it_names(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url) as hansard:
        ada = await hansard.person()
        room_id = await ada.room()
        said = await ada.say(room_id, "0")
        message, room, me = f"/messages/{said['id']}", f"/rooms/{room_id}", "/users/me"
        await ada.ask("PATCH", message, 200, json={"content": "second"})
        await ada.ask("PATCH", room, 200, json={"name": "second"})
        await ada.ask("PUT", me, 200, json={"avatar_url": "https://a.example/2"})

        writes: list[tuple[str, str, dict[str, Any]]] = [
            ("PATCH", message, {"json": {"content": "third"}}),
            ("PATCH", room, {"json": {"name": "third"}}),
            ("PUT", me, {"json": {"avatar_url": "https://a.example/3"}}),
            ("DELETE", message, {}),
            ("DELETE", room, {}),
        ]
        for method, path, body in writes:
            now = int((await ada.http.get(path)).headers["etag"].strip('"'))
            for stale in ('"1"', f'W/"{now}"', f'"1", W/"{now}"', '"made-up"', f'"0{now}"', '"1", "made,up"'):
                await ada.ask(method, path, 412, headers={"If-Match": stale}, **body)
            for bad in (str(now), f'"{now}" "1"', "", ",", f'*, "{now}"', f'"{now}'):
                assert (await ada.ask(method, path, 422, headers={"If-Match": bad}, **body))[
                    "code"
                ] == "header.if_match"
            answer = await ada.http.request(
                method, path, headers=[("If-Match", '"1", W/"2"'), ("If-Match", f', "made,up","{now}",')], **body
            )
            assert answer.is_success, (method, path, answer.text)
        other = await ada.room()
        await ada.ask("PATCH", f"/rooms/{other}", 200, headers={"If-Match": "*"}, json={"name": "third"})


async def test_a_page_may_ask_for_parts_and_by_conditions_and_read_what_it_is_told(
    database_url: str, redis_url: str
) -> None:
    origin = {"Origin": "https://chat.example"}
    async with (
        deployment(database_url, redis_url, origins=("https://chat.example",)) as hansard,
        hansard.client() as http,
    ):
        asked = await http.options("/meta", headers=origin | {"Access-Control-Request-Method": "GET"})
        taken = set(asked.headers["access-control-allow-headers"].split(", "))
        assert {"Range", "If-Range", "If-None-Match", "If-Match", "If-Modified-Since"} <= taken
        told = set((await http.get("/meta", headers=origin)).headers["access-control-expose-headers"].split(", "))
        assert {"Content-Disposition", "Content-Range", "ETag", "Retry-After", "RateLimit", "RateLimit-Policy"} <= told


async def test_a_request_id_is_taken_when_it_could_be_one(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url) as hansard, hansard.client() as http:
        for good in ("a-Z_0.9:/+=", "x" * 128):
            assert (await http.get("/meta", headers={"X-Request-Id": good})).headers["x-request-id"] == good
        for bad in ("<script>alert(1)</script>", "a b", "x" * 129, "a,b", '"', "%41", "a;b"):
            made = (await http.get("/meta", headers={"X-Request-Id": bad})).headers["x-request-id"]
            assert made != bad and len(made) == 32


def test_a_single_limit_holds_beside_none() -> None:
    quotas = read({"HANSARD_LIMITS": "off", "HANSARD_LIMIT_SENDS": "1/2/3"}).quotas
    assert quotas == replace(OFF, sends=Quota("sends", 1, 2, 3))
