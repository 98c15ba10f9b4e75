"""The page as it is served: whole, compressed, kept by browsers, and under a policy that lets nothing else run."""

import gzip
import re
from collections.abc import AsyncIterator

import brotli
import pytest

from adapters.web_files import INDEX, WebFiles
from tests.deployments import Gateway, deployment
from tests.gateway.test_bad_input import assert_problem
from web import folders

BROWSER = {"Accept": "text/html,*/*;q=0.8"}
PAGE = WebFiles.read(folders())
COMPRESSED_BYTES_MAX = 150_000


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url, page=PAGE) as made:
        yield made


async def test_the_page_names_its_files_by_their_hash_and_is_there_for_browsers_alone(hansard: Gateway) -> None:
    async with hansard.client() as http:
        page = await http.get(f"{hansard.base}/", headers=BROWSER)
        assert page.status_code == 200 and page.headers["content-type"] == "text/html; charset=utf-8"
        named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert f"/assets/{PAGE.digest}/main.js" in named and all(
            each.startswith(f"/assets/{PAGE.digest}/") for each in named
        )
        for each in named:
            assert (await http.get(hansard.base + each)).status_code == 200, each
        assert_problem(await http.get(f"{hansard.base}/"), 401, "auth.token_invalid")
        known = await http.get(f"{hansard.base}/", headers={**BROWSER, "If-None-Match": page.headers["etag"]})
        assert (known.status_code, known.content) == (304, b"")


# `import "x"`, `import … from "x"` and `export … from "x"`, over several lines too, and `import("x")`.
IMPORTED = re.compile(r'(?:^(?:import|(?:(?:import|export)\b[^"\n]*|\}) from)\s*|\bimport\()"([^"]+)"', re.MULTILINE)


async def test_every_import_of_its_modules_is_served_from_the_house_itself(hansard: Gateway) -> None:
    modules = {name: file.forms["identity"].decode() for name, file in PAGE.files.items() if name.endswith(".js")}
    assert len(modules) > 15 and sum(len(IMPORTED.findall(source)) for source in modules.values()) > 60
    for name, source in modules.items():
        for imported in IMPORTED.findall(source):
            folder = name.rpartition("/")[0]
            target = imported.removeprefix("./")
            if imported.startswith("node:"):
                assert name == "hansard-client/node_socket.js"
            else:
                assert (f"{folder}/{target}" if folder else target) in PAGE.files, (name, imported)


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br, zstd", "br"), ("gzip", "gzip"), ("br;q=0, gzip;q=0.5", "gzip"), ("br; q=0.0", None), ("", None), ("BR", "br"),
    ],
)  # fmt: skip
async def test_files_are_compressed_once_and_kept_for_ever(
    hansard: Gateway, accepted: str, encoding: str | None
) -> None:
    async with hansard.client() as http:
        answer = await http.get(f"{hansard.base}/assets/{PAGE.digest}/style.css", headers={"Accept-Encoding": accepted})
    assert answer.status_code == 200 and answer.headers.get("content-encoding") == encoding
    assert answer.content == PAGE.files["style.css"].forms["identity"]
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert "Accept-Encoding" in answer.headers["vary"] and answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"] == "text/css; charset=utf-8"


async def test_what_is_no_file_of_the_page_is_not_there_and_another_version_leads_to_the_present_one(
    hansard: Gateway,
) -> None:
    async with hansard.client() as http:
        for name in (
            "nothing.js",
            "__init__.py",
            INDEX,
            "../pyproject.toml",
            "%2e%2e/pyproject.toml",
            "",
            "hansard-client/",
        ):
            answer = await http.get(f"{hansard.base}/assets/{PAGE.digest}/{name}")
            assert answer.status_code in (401, 404), (name, answer.status_code)
        old = await http.get(f"{hansard.base}/assets/0123456789abcdef/hansard-client/chat.js", follow_redirects=False)
        assert old.status_code == 307 and old.headers["location"] == f"/assets/{PAGE.digest}/hansard-client/chat.js"
        assert old.headers["cache-control"] == "no-store"


async def test_its_policy_lets_nothing_inline_or_foreign_run_and_the_apis_own_headers_stay(hansard: Gateway) -> None:
    async with hansard.client() as http:
        page = await http.get(f"{hansard.base}/", headers=BROWSER)
        policy = dict(each.strip().split(" ", 1) for each in page.headers["content-security-policy"].split(";"))
        assert (
            policy["default-src"] == "'none'" and policy["script-src"] == "'self'" and policy["style-src"] == "'self'"
        )
        assert policy["require-trusted-types-for"] == "'script'" and policy["trusted-types"] == "hansard"
        assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert not re.search(r"unsafe|data:|https?:|\*", page.headers["content-security-policy"])
        assert page.headers["cross-origin-opener-policy"] == "same-origin"
        assert (
            page.headers["cross-origin-resource-policy"] == "same-origin" and page.headers["x-frame-options"] == "DENY"
        )
        assert not re.search(r"<style|<script(?! type=\"module\" src=)|\son\w+=|style=", page.text)
        api = await http.get("/meta")
        assert api.headers["content-security-policy"].startswith("default-src 'none'; object-src 'none'")
        assert api.headers["cache-control"] == "no-store" and "cross-origin-embedder-policy" not in api.headers


async def test_it_can_be_elsewhere(database_url: str, redis_url: str) -> None:
    async with (
        deployment(database_url, redis_url, web_url="https://chat.example.com/") as hansard,
        hansard.client() as http,
    ):
        answer = await http.get(f"{hansard.base}/", headers=BROWSER)
        assert (answer.status_code, answer.headers["location"]) == (307, "https://chat.example.com/")


def test_all_of_it_weighs_little() -> None:
    files = [PAGE.index, *PAGE.files.values()]
    assert sum(len(file.forms["br"]) for file in files) < COMPRESSED_BYTES_MAX
    assert sum(len(file.forms["gzip"]) for file in files) < COMPRESSED_BYTES_MAX
    for file in files:
        assert brotli.decompress(file.forms["br"]) == gzip.decompress(file.forms["gzip"]) == file.forms["identity"]


def test_a_changed_file_changes_the_address_of_all() -> None:
    before, after = (WebFiles({INDEX: b'"/assets/a.js"', "a.js": content}) for content in (b"1", b"2"))
    assert before.digest != after.digest and after.digest.encode() in after.index.forms["identity"]


async def test_the_worker_that_push_wakes_has_an_address_that_stays_and_is_asked_for_anew(hansard: Gateway) -> None:
    async with hansard.client() as http:
        worker = await http.get(f"{hansard.base}/assets/push_worker.js", headers={"Accept-Encoding": "identity"})
        assert (worker.status_code, worker.headers["cache-control"]) == (200, "no-cache")
        assert worker.headers["service-worker-allowed"] == "/"
        assert worker.headers["content-type"].startswith("text/javascript")
        assert worker.content == PAGE.files["push_worker.js"].forms["identity"]


async def test_without_a_page_there_is_no_worker(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url) as hansard, hansard.client() as http:
        assert (await http.get(f"{hansard.base}/assets/push_worker.js")).status_code == 404
