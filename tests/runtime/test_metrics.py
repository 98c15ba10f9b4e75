"""Metrics of a real deployment: every series is there, in the process that the documentation names, and moves when its
thing happens."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from adapters.prometheus.exposition import Exposition
from runtime.exchanges import HEAD_BYTES_MAX
from runtime.metrics_listener import CONNECTIONS_MAX, metrics_listener
from runtime.settings import SettingRefusedError
from runtime.settings_reader import read
from tests.files.pictures import png
from tests.ports import free_port, free_ports
from tests.runtime.test_gateways import log_in, opened, until
from tests.runtime.test_up import System, system

OPERATING = Path(__file__).parents[2] / "docs" / "operating.md"
ROW = re.compile(r"^\| `(hansard_\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|", re.MULTILINE)
OF_MACHINE = {"process_resident_memory_bytes", "process_open_fds", "python_info", "python_gc_collections_total"}
Figures = dict[str, float]

# What moves, in which process, when somebody registers, opens a room, says something on a socket and uploads a picture.
MOVES = {
    "gateway": (
        'hansard_http_requests_total{method="POST",route="/api/v1/rooms",status="201"}',
        'hansard_http_request_seconds_count{method="POST",route="/api/v1/rooms",status_class="2xx"}',
        'hansard_http_requests_total{method="GET",route="/api/v1/rooms/{room_id}",status="401"}',
        "hansard_append_seconds_count",
        "hansard_append_batch_commands_count",
        "hansard_append_commit_seconds_sum",
        'hansard_append_commands_total{outcome="appended"}',
        "hansard_sockets",
        "hansard_frames_delivered_total",
        "hansard_fan_out_seconds_count",
        "hansard_asyncio_tasks",
        "hansard_postgres_answers",
        "hansard_record_position",
        'hansard_projection_position{group="live"}',
    ),
    "projector": (
        'hansard_projection_owned{group="live"}',
        'hansard_projection_batch_events_sum{group="live"}',
        'hansard_projection_commit_seconds_count{group="live"}',
        'hansard_projection_lag_seconds_count{group="live"}',
        "hansard_publish_seconds_count",
        "hansard_frames_published_total",
    ),
    "worker": (
        'hansard_projection_batch_events_sum{group="message_html"}',
        'hansard_projection_lag_seconds_count{group="audit_index"}',
        'hansard_task_seconds_count{kind="scan",outcome="done"}',
        'hansard_task_seconds_sum{kind="image",outcome="done"}',
        'hansard_append_commands_total{outcome="appended"}',
        "hansard_retention_round_timestamp_seconds",
    ),
    "notary": ("hansard_notary_signed_position",),
}


def documented() -> dict[str, tuple[str, tuple[str, ...], frozenset[str]]]:
    """Return the table of docs/operating.md: type, labels and processes of each name."""
    found = {}
    for name, kind, labels, of in ROW.findall(OPERATING.read_text()):
        found[name] = kind, tuple(re.findall(r"`(\w+)`", labels)), frozenset(re.findall(r"\w+", of))
    return found


def figures(text: str) -> Figures:
    """Return every sample of an exposition, by its name and labels as they are written in PromQL."""
    return {
        sample.name
        + (
            "{" + ",".join(f'{k}="{v}"' for k, v in sorted(sample.labels.items())) + "}" if sample.labels else ""
        ): float(sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
async def hansard(tmp_path: Path) -> AsyncIterator[tuple[System, dict[str, str]]]:
    port = free_ports(3)
    async with system(tmp_path, HANSARD_METRICS_LISTEN=f"127.0.0.1:{port}") as made:
        yield (
            made,
            {
                "gateway": f"{made.base}/metrics",
                "projector": f"http://127.0.0.1:{port}/metrics",
                "worker": f"http://127.0.0.1:{port + 1}/metrics",
                "notary": f"http://127.0.0.1:{port + 2}/metrics",
            },
        )


async def scraped(http: httpx.AsyncClient, url: str) -> str:
    answer = await http.get(url)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.text


def still(before: Figures, now: Figures, names: Iterable[str]) -> list[str]:
    return [name for name in names if not now.get(name, 0.0) > (0.0 if name in LEVELS else before.get(name, 0.0))]


LEVELS = {
    "hansard_postgres_answers", "hansard_asyncio_tasks", 'hansard_projection_owned{group="live"}',
    "hansard_retention_round_timestamp_seconds",
}  # fmt: skip


async def test_every_series_is_there_and_moves_when_its_thing_happens(hansard: tuple[System, dict[str, str]]) -> None:
    made, urls = hansard
    async with httpx.AsyncClient(timeout=20) as http:
        before = {name: figures(await scraped(http, url)) for name, url in urls.items()}
        ada = await log_in(made, "ada")
        async with AsyncExitStack() as stack:
            stack.push_async_callback(ada.aclose)
            room_id = (await ada.post("/rooms", json={"name": "Lobby"})).json()["id"]
            async with opened(made.port, ada, room_id) as line:
                await until(line, "live")
                assert (await ada.post(f"/rooms/{room_id}/messages", json={"content": "hello"})).status_code == 201
                assert (await ada.post("/files/upload", files={"file": ("a.png", png())})).status_code == 202
                await until(line, "event")
                assert (await http.get(f"{made.base}/api/v1/rooms/{room_id}")).status_code == 401
                for name, url in urls.items():
                    async with asyncio.timeout(30):
                        while waiting := still(before[name], figures(await scraped(http, url)), MOVES[name]):
                            await asyncio.sleep(0.1)
                    assert waiting == []
        table, seen = documented(), set[str]()
        for name, url in urls.items():
            text = await scraped(http, url)
            families = {family.name: family for family in text_string_to_metric_families(text)}
            ours = {family for family in families if family.startswith("hansard_")}
            # The parser takes a counter's name without its `_total`.
            expected = {each.removesuffix("_total") for each, (_, _, of) in table.items() if name in of}
            assert ours == expected, name
            assert {sample for family in families.values() for sample in (s.name for s in family.samples)} >= OF_MACHINE
            assert room_id not in text
            seen |= ours
        running = {name for name, (_, _, of) in table.items() if of & urls.keys()}  # others are of commands
        assert len(seen) == len(running) > 25
        openly = await http.get(urls["projector"], headers={"Accept": "application/openmetrics-text; version=1.0.0"})
        assert openly.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        open_families: Any = openmetrics_families
        assert {family.name for family in open_families(openly.text)} >= {"hansard_publish_seconds"}
        alive = await http.get(urls["worker"].replace("/metrics", "/livez"))
        assert (alive.status_code, alive.text) == (200, "alive\n")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
        (b"HEAD /metrics HTTP/1.0\r\n\r\n", b"200"),
        (b"GET /metrics?x=1 HTTP/1.1\r\nAccept: application/openmetrics-text;version=x\r\n\r\n", b"200"),
        (b"GET /etc/passwd HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
        (b"\xff\x00\r\n\r\n", b"405"),
    ],
)
async def test_the_listener_answers_these_two_paths_and_nothing_else(head: bytes, status: bytes) -> None:
    port = free_port()
    async with metrics_listener(("127.0.0.1", port), Exposition(CollectorRegistry())):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        said = await reader.read()
        assert said.split(b" ")[1] == status
        assert not (head.startswith(b"HEAD") and said.partition(b"\r\n\r\n")[2])
        writer.close()


async def test_the_listener_lets_nobody_hold_it() -> None:
    port = free_port()
    async with metrics_listener(("127.0.0.1", port), Exposition(CollectorRegistry()), seconds=0.5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /livez HTTP/1.1\r\nX: " + b"x" * (2 * HEAD_BYTES_MAX))
        async with asyncio.timeout(20):
            assert await cut_off(reader), "a head that is too long"
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS_MAX)]
        late, _ = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(20):
            assert await cut_off(late), "one more than there may be"
            for each, _ in silent:
                assert await cut_off(each), "who says nothing"
        again, asking = await asyncio.open_connection("127.0.0.1", port)
        asking.write(b"GET /livez HTTP/1.1\r\n\r\n")
        assert (await again.read()).endswith(b"alive\n")
        for _, opened_by_us in (*silent, (reader, writer), (again, asking)):
            opened_by_us.close()


async def cut_off(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    "text", ["9464", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65535", "::1:9464", "a b:1", "x:99999"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SettingRefusedError, match="HANSARD_METRICS_LISTEN"):
        read({"HANSARD_METRICS_LISTEN": text})


def test_addresses_of_both_kinds_are_taken() -> None:
    assert read({"HANSARD_METRICS_LISTEN": "[::1]:9464"}).metrics_address == ("::1", 9464)
    assert read({"HANSARD_METRICS_LISTEN": "0.0.0.0:9464"}).metrics_address == ("0.0.0.0", 9464)
    assert read({}).metrics_address is None


async def test_what_was_written_is_good_for_a_moment() -> None:
    """However often somebody asks, the text is written once, and the database asked once."""
    reads = 0

    async def count() -> None:
        nonlocal reads
        reads += 1

    kept, fresh = Exposition(CollectorRegistry()), Exposition(CollectorRegistry(), fresh_seconds=0)
    await asyncio.gather(*(kept.text("", before=count) for _ in range(50)))
    assert reads == 1
    await asyncio.gather(*(fresh.text("", before=count) for _ in range(3)))
    assert reads == 4
