"""HEAD and conditions on every route that reads, by one mechanism; and what the door takes and shows of headers."""

from msgspec.structs import replace

from domain.quotas import OFF, Quota
from runtime.settings import read
from tests.gateway.test_every_route import Asked, asked_of, wire
from tests.houses import deployment


async def test_head_is_answered_as_get_is_without_a_body_and_what_is_known_is_not_sent_again(
    database_url: str, redis_url: str
) -> None:
    async with deployment(database_url, redis_url) as house, wire(house) as connection:
        ada = await house.person()
        signed = (f"Authorization: Bearer {ada.token}", "Hansard-Reason: a look")
        tagged = 0
        for asked in await asked_of(house, ada):
            if asked.method != "GET":
                continue
            status, head, _ = await connection.ask(asked._replace(headers=signed), b"")
            alike, headless, body = await connection.ask(asked._replace(method="HEAD", headers=signed), b"")
            assert (alike, body) == (status, b""), asked.target
            names = [{line.split(b":")[0].lower() for line in each.split(b"\r\n")[1:]} for each in (head, headless)]
            assert names[0] == names[1], asked.target
            if b"\r\netag:" not in head.lower():
                continue
            tagged += 1
            etag = head.lower().split(b"\r\netag: ")[1].split(b"\r\n")[0].decode()
            for tags, expected in (
                (etag, 304), (f'"x", W/{etag}', 304), ("*", 304), ('"x"', 200), (etag.replace('"', ""), 200),
            ):  # fmt: skip
                for method in ("GET", "HEAD"):
                    conditions = (*signed, f"If-None-Match: {tags}")
                    answer = await house.client().request(
                        method, house.base + asked.target, headers=dict(line.split(": ", 1) for line in conditions)
                    )
                    assert answer.status_code == expected, (asked.target, tags, method)
                    assert answer.headers["etag"] == etag and answer.headers["x-request-id"]
                    assert not answer.content if expected == 304 or method == "HEAD" else answer.content
        assert tagged >= 3, "a room, a message, a profile"
        assert Asked("GET", "/livez") in await asked_of(house, ada)


async def test_a_page_may_ask_for_parts_and_by_conditions_and_read_what_it_is_told(
    database_url: str, redis_url: str
) -> None:
    origin = {"Origin": "https://chat.example"}
    async with deployment(database_url, redis_url, origins=("https://chat.example",)) as house, house.client() as http:
        asked = await http.options("/meta", headers=origin | {"Access-Control-Request-Method": "GET"})
        taken = set(asked.headers["access-control-allow-headers"].split(", "))
        assert {"Range", "If-Range", "If-None-Match", "If-Match", "If-Modified-Since"} <= taken
        told = set((await http.get("/meta", headers=origin)).headers["access-control-expose-headers"].split(", "))
        assert {"Content-Disposition", "Content-Range", "ETag", "Retry-After", "RateLimit", "RateLimit-Policy"} <= told


async def test_a_request_id_is_taken_when_it_could_be_one(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url) as house, house.client() as http:
        for good in ("a-Z_0.9:/+=", "x" * 128):
            assert (await http.get("/meta", headers={"X-Request-Id": good})).headers["x-request-id"] == good
        for bad in ("<script>alert(1)</script>", "a b", "x" * 129, "a,b", '"', "%41", "a;b"):
            made = (await http.get("/meta", headers={"X-Request-Id": bad})).headers["x-request-id"]
            assert made != bad and len(made) == 32


def test_a_single_limit_holds_beside_none() -> None:
    quotas = read({"HANSARD_LIMITS": "off", "HANSARD_LIMIT_SENDS": "1/2/3"}).quotas
    assert quotas == replace(OFF, sends=Quota("sends", 1, 2, 3))
