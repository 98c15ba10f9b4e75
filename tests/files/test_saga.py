"""The saga from upload to variants: what is made, what is told, and what becomes of what is harmful or broken."""

import asyncio
import io
import json
from collections import Counter
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
import structlog
from PIL import Image
from websockets.asyncio.client import connect

from adapters.media.scanner import BasicScanner
from adapters.redis.task_queue import RedisTasks
from commands.file import FailFile
from domain.file import FILE, FileCompleted, FileFailed
from domain.ids import FileId, UserId
from domain.ports.blobs import BlobsUnavailableError
from domain.ports.scanner import ScannerUnavailableError, Verdict
from domain.tasks import KIND_OF, ProcessImage, ScanFile
from tests.blobs.stores import names
from tests.conftest import Servers, fresh_database
from tests.deployments import Person, deployment, gateway, logged, projector, running, until
from tests.files import pictures
from tests.files.deployments import Works, ended, pipeline, worker, working
from tests.files.test_downloads import SAGA
from tests.lines import line
from workers.files.task_workers import TaskWorker, worker_pool

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def works(servers: Servers) -> AsyncIterator[Works]:
    async with fresh_database(servers) as database_url, pipeline(database_url, servers.redis_url) as made:
        yield made


async def picture(who: Person, file_id: str, name: str) -> Image.Image:
    answer = await who.http.get(f"/files/{file_id}/variants/{name}")
    assert answer.status_code == 200
    return Image.open(io.BytesIO(answer.content))


async def ends(works: Works, file_id: str) -> list[Any]:
    stream = FILE.id(FileId(UUID(file_id)))
    events = (await works.services.services.record.streams([stream]))[stream]
    return [recorded.event for recorded in events if isinstance(recorded.event, (FileCompleted, FileFailed))]


async def test_a_photograph_becomes_three_upright_pictures_that_tell_nothing_of_where_it_was_taken(
    works: Works,
) -> None:
    ada = await works.services.person()
    file_id = (await ada.upload(pictures.with_place(2000, 1500), "beach.jpg"))["id"]
    status = await ended(ada, file_id)
    assert (status["status"], status["scan"], status["progress"]) == ("completed", "basic", 1.0)
    sizes = {name: (v["width"], v["height"]) for name, v in status["variants"].items()}
    assert sizes == {"thumbnail": (192, 256), "preview": (960, 1280), "original": (1500, 2000)}
    for name, variant in status["variants"].items():
        answer = await ada.http.get(f"/files/{file_id}/variants/{name}")
        assert len(answer.content) == variant["size_bytes"]
        assert b"Secret" not in answer.content and b"Exif" not in answer.content
        image = Image.open(io.BytesIO(answer.content))
        assert dict(image.getexif()) == {} and not {"comment", "exif", "xmp", "icc_profile"} & set(image.info)
        assert image.size == sizes[name]
    content = await ada.http.get(f"/files/{file_id}/content")
    assert content.content == (await ada.http.get(f"/files/{file_id}/variants/original")).content
    view = await ada.ask("GET", f"/files/{file_id}", 200)
    assert view["size_bytes"] == len(content.content)


async def test_an_animation_stays_one_and_what_is_transparent_stays_so(works: Works) -> None:
    ada = await works.services.person()
    moving = (await ada.upload(pictures.animation(6)))["id"]
    clear = Image.new("RGBA", (300, 300), (255, 0, 0, 0))
    clear.paste((0, 255, 0, 255), (0, 0, 150, 300))
    still = (await ada.upload(pictures.saved(clear, "PNG")))["id"]
    assert (await ended(ada, moving))["status"] == (await ended(ada, still))["status"] == "completed"
    for name in ("preview", "original"):
        image = await picture(ada, moving, name)
        image.load()
        assert (getattr(image, "n_frames", 1), image.info["duration"], image.info.get("loop")) == (6, 80, 0)
        image = await picture(ada, still, name)
        alpha = image.convert("RGBA").getchannel("A")
        assert (alpha.getpixel((10, 10)), alpha.getpixel((290, 10))) == (255, 0)
    assert getattr(await picture(ada, moving, "thumbnail"), "n_frames", 1) == 1


async def test_colours_are_kept_when_a_profile_is_dropped(works: Works) -> None:
    from PIL import ImageCms

    ada = await works.services.person()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes().replace(b"sRGB", b"xxxx")
    file_id = (await ada.upload(pictures.saved(Image.new("RGB", (50, 50), (200, 30, 60)), "PNG", icc_profile=profile)))[
        "id"
    ]
    assert (await ended(ada, file_id))["status"] == "completed"
    image = await picture(ada, file_id, "original")
    pixel = image.convert("RGB").getpixel((20, 20))
    assert "icc_profile" not in image.info
    assert all(abs(a - b) <= 2 for a, b in zip(pixel, (200, 30, 60), strict=True))  # type: ignore[arg-type]


async def test_a_document_shows_its_first_page_and_how_many_there_are(works: Works) -> None:
    ada = await works.services.person()
    content = pictures.pdf(pages=7)
    file_id = (await ada.upload(content, "plan.pdf"))["id"]
    status = await ended(ada, file_id)
    assert (status["status"], status["pages"], set(status["variants"])) == ("completed", 7, {"thumbnail", "preview"})
    assert (await picture(ada, file_id, "preview")).size == (905, 1280)
    answer = await ada.http.get(f"/files/{file_id}/content")
    assert answer.content == content and answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"].startswith("attachment; ")


async def test_the_room_hears_of_the_end_and_so_does_the_uploader(works: Works) -> None:
    ada, ben = await works.services.person(), await works.services.person()
    room_id = await ada.room(ben)
    url = f"ws://127.0.0.1:{works.services.port}/api/v1/ws"

    async def heard(line: Any, event: str) -> dict[str, Any]:
        while True:
            frame = json.loads(await line.recv())
            if frame.get("event") == event:
                return dict(frame)

    async with (
        connect(f"{url}/{room_id}", additional_headers={"Authorization": f"Bearer {ben.token}"}) as bens,
        connect(url, additional_headers={"Authorization": f"Bearer {ada.token}"}) as adas,
    ):
        file_id = (await ada.upload(pictures.jpeg(), params={"room_id": room_id}))["id"]
        await ada.say(room_id, "", message_type="image", file_id=file_id)
        frame, own = await heard(bens, "file.completed"), await heard(adas, "file.completed")
    assert (frame["room_id"], own["room_id"], own["prev"]) == (room_id, None, None)
    assert frame["prev"] > 0 and frame["position"] == own["position"]
    assert frame["data"] == own["data"] == await ben.ask("GET", f"/files/{file_id}", 200)
    assert set(frame["data"]["variants"]) == {"thumbnail", "preview", "original"}


async def test_what_is_harmful_is_locked_away_and_those_who_look_after_the_room_are_told(works: Works) -> None:
    hansard = works.services
    ada, ben, cy, eve = [await hansard.person() for _ in range(4)]
    before = await names(hansard.services.blobs)
    room_id = await ben.room(ada, cy, eve)
    await ben.ask("PUT", f"/rooms/{room_id}/members/{cy.id}", 200, json={"role": "admin"})
    async with (
        line(hansard, ada) as adas, line(hansard, ben) as bens, line(hansard, cy) as cys, line(hansard, eve, room_id) as eves,
    ):  # fmt: skip
        body = b"some text " * 1000 + pictures.harmful() + b" and more"
        file_id = (await ada.upload(body, "notes.txt", params={"room_id": room_id}))["id"]
        for hears in (adas, bens, cys):
            frame = await hears.until("event", event="file.failed", seconds=30)
            said = frame["data"]["error"]["code"], frame["data"]["id"], frame["room_id"]
            assert said == ("infected", file_id, None)
        position = (await ben.say(room_id, "the next thing that a member hears"))["position"]
        while (frame := await eves.frame())["type"] != "event" or frame["position"] < position:
            assert frame.get("event") != "file.failed"
    status = await ended(ada, file_id)
    assert (status["status"], status["scan"], status["error"]["code"]) == ("failed", "basic", "infected")
    for who, code in ((ada, 409), (ben, 404), (eve, 404)):
        await who.ask("GET", f"/files/{file_id}/content", code)
    kept = await names(hansard.services.blobs) - before
    assert kept == {sha256(body).hexdigest()}, "it is locked away, not removed"


async def test_who_looks_after_the_room_is_told_though_the_tables_are_behind(database_url: str, redis_url: str) -> None:
    async with gateway(database_url, redis_url) as hansard, worker(hansard, database_url, redis_url) as works:
        ada, ben, cy = [await hansard.person() for _ in range(3)]
        async with projector(database_url, redis_url):
            room_id = await ben.room(ada, cy)
            await hansard.settled()
        await ben.ask("PUT", f"/rooms/{room_id}/members/{cy.id}", 200, json={"role": "admin"})
        uploaded = await ada.upload(pictures.harmful(), "notes.txt", params={"room_id": room_id})
        scanning = asyncio.create_task(works.saga.do(ScanFile(FileId(UUID(uploaded["id"])), UserId(UUID(ada.id)))))
        assert not (await asyncio.wait([scanning], timeout=0.3))[0], "it waits"
        async with projector(database_url, redis_url):
            await scanning
        [failed] = await ends(works, uploaded["id"])
    assert {str(each) for each in failed.moderator_ids} == {ben.id, cy.id}


async def test_every_step_may_run_twice_and_the_outcome_is_one(database_url: str, redis_url: str) -> None:
    async with (
        deployment(database_url, redis_url) as hansard,
        worker(hansard, database_url, redis_url) as works,
    ):
        ada = await hansard.person()
        file_id = FileId(UUID((await ada.upload(pictures.jpeg()))["id"]))
        steps = ScanFile(file_id, ada.id), ProcessImage(file_id, ada.id)  # type: ignore[arg-type]
        assert await works.saga.do(steps[1]) == await works.saga.do(steps[1]), "its turn has not come"
        for step in steps:
            for _ in range(3):
                await works.saga.do(step)
        assert await works.saga.do(steps[0]) is None
        assert len(await ends(works, str(file_id))) == 1
        stored = await names(hansard.services.blobs)
        await works.saga.do(steps[1])
        assert await names(hansard.services.blobs) == stored


async def test_a_queue_that_forgets_everything_is_rebuilt_from_the_record(database_url: str, redis_url: str) -> None:
    async with (
        deployment(database_url, redis_url) as hansard,
        worker(hansard, database_url, redis_url) as works,
    ):
        ada = await hansard.person()
        ids = [(await ada.upload(pictures.png(8 + i, 8)))["id"] for i in range(5)]
        assert len(await works.tasks.listed()) == 5
        keys = await works.tasks._redis.keys(f"{works.tasks._prefix}*")
        await works.tasks._redis.delete(*keys)
        assert await works.tasks.listed() == []

        async def found() -> bool:
            await works.dispatcher.step()
            return len(await works.tasks.listed()) == 5

        await until(found)
        assert await works.dispatcher.step() == 0, "what is queued is not queued twice"
        async with working(works):
            for file_id in ids:
                assert (await ended(ada, file_id))["status"] == "completed"

            async def idle() -> bool:
                return await works.tasks.listed() == []

            await until(idle)  # a file has ended a moment before its task has


async def queued(tasks: RedisTasks, kind: str) -> list[dict[bytes, bytes]]:
    """Return the fields of every entry of a queue."""
    entries: Any = await tasks._redis.xrange(f"{tasks._prefix}:{kind}")
    return [fields for _, fields in entries]


class Moody(BasicScanner):
    """A scanner that is away, until it is not."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = True

    async def scan(self, pieces: AsyncIterator[bytes]) -> Verdict:
        self.asked += 1
        if self.away:
            raise ScannerUnavailableError("away")
        return await super().scan(pieces)

    async def ping(self) -> None:
        """Nobody asks."""


async def test_what_fails_is_tried_again_and_given_up_in_the_end_and_an_operator_brings_it_back(
    database_url: str, redis_url: str
) -> None:
    scanner = Moody()
    async with (
        deployment(database_url, redis_url) as hansard,
        worker(hansard, database_url, redis_url, scanner=scanner) as works,
    ):
        ada = await hansard.person()
        file_id = (await ada.upload(b"some text"))["id"]
        async with working(works, tries_max=4):
            status = await ended(ada, file_id)
        assert (status["status"], status["error"]["code"]) == ("failed", "gave_up")
        assert scanner.asked == 4 and len(await ends(works, file_id)) == 1
        assert await works.tasks.listed() == []
        from commands.file import RetryFile

        scanner.away = False
        await hansard.services.command_bus.do(RetryFile(FileId(UUID(file_id))), SAGA)

        async def goes_on() -> bool:
            await works.dispatcher.step()
            return bool(await works.tasks.listed())

        await until(goes_on)
        async with working(works):
            assert (await ended(ada, file_id))["status"] == "completed"


async def test_tries_are_spread_and_grow(database_url: str, redis_url: str) -> None:
    scanner = Moody()
    async with (
        deployment(database_url, redis_url) as hansard,
        worker(hansard, database_url, redis_url, scanner=scanner) as works,
    ):
        ada = await hansard.person()
        await ada.upload(b"some text")
        hand = works.hand("scan", backoff_seconds=3600, chance=lambda: 0.5)
        while not await hand.step():
            pass
        [listed] = await works.tasks.listed()
        assert (listed.state, listed.attempt) == ("later", 2)
        assert not await hand.step(), "it waits for its time"
        assert await works.tasks.hurry() == 1
        assert await hand.step()
        assert scanner.asked == 2


async def test_an_entry_can_be_read_by_a_person(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url) as hansard:
        ada = await hansard.person()
        file_id = (await ada.upload(pictures.jpeg()))["id"]
        tasks = hansard.services.tasks
        assert isinstance(tasks, RedisTasks)
        await tasks.add(ProcessImage(FileId(UUID(file_id)), ada.id))  # type: ignore[arg-type]
        entries = [fields[b"task"] for kind in ("scan", "image")
                   for fields in await queued(tasks, kind)]  # fmt: skip
        scan, image = map(json.loads, entries)
        assert scan["task"] == {"type": "ScanFile", "file_id": file_id, "user_id": ada.id}
        assert image["task"]["operations"] == ["thumbnail", "resize", "compress"]
        assert (image["task"]["type"], image["attempt"]) == ("ProcessImage", 1)


async def test_a_task_whose_worker_fell_silent_is_taken_over_and_a_held_one_is_not(
    database_url: str, redis_url: str
) -> None:
    async with (
        deployment(database_url, redis_url) as hansard,
        worker(hansard, database_url, redis_url, claim_seconds=2.0) as first,
        worker(hansard, database_url, redis_url, claim_seconds=2.0) as second,
    ):
        ada = await hansard.person()
        await ada.upload(pictures.jpeg())
        taken = None
        while taken is None:
            taken = await first.tasks.take("scan")
        for _ in range(3):
            assert await first.tasks.beat(taken)
            stream = second.tasks._stream("scan")
            assert (await second.tasks._redis.xautoclaim(stream, "workers", "x", 2_000))[1] == []
            assert (await second.tasks.listed())[0].detail.startswith(f"by {first.tasks._consumer}")
        over = None

        async def silent() -> bool:
            nonlocal over
            over = await second.tasks.take("scan")
            return over is not None

        await until(silent)
        assert over is not None and (over.id, over.tries) == (taken.id, 2)
        assert not await first.tasks.beat(taken), "who lost it is told so"
        await second.tasks.done(over)
        assert await second.tasks.listed() == []


async def test_a_task_of_a_newer_version_waits_and_stops_nobody(database_url: str, redis_url: str) -> None:
    async with (
        deployment(database_url, redis_url) as hansard,
        worker(hansard, database_url, redis_url) as works,
    ):
        tasks, ada = works.tasks, await hansard.person()
        unknown = {
            "task": {"type": "TranscribeFile", "file_id": str(uuid4()), "user_id": ada.id},
            "attempt": 1, "added_at": "2026-11-24T12:00:00Z",
        }  # fmt: skip
        for entry in (json.dumps(unknown), "no JSON", b"\xff\x00"):
            await tasks._redis.xadd(tasks._stream("scan"), {"task": entry})
        async with working(works):
            file_id = (await ada.upload(b"some text"))["id"]
            assert (await ended(ada, file_id))["status"] == "completed"

            async def waits() -> bool:
                listed = await tasks.listed()
                return len(listed) == 3 and {task.state for task in listed} == {"later"}

            await until(waits)
        assert await tasks.hurry() == 3
        kept = [fields[b"task"] for fields in await queued(tasks, "scan")]
        assert json.dumps(unknown).encode() in kept, "a worker that knows it finds it as it was"
        assert ["TranscribeFile" in task.name for task in await tasks.listed()].count(True) == 1


class Slow(Moody):
    """A scanner that answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.away, self.asking, self.go = False, asyncio.Event(), asyncio.Event()

    async def scan(self, pieces: AsyncIterator[bytes]) -> Verdict:
        self.asking.set()
        await self.go.wait()
        return await super().scan(pieces)


@pytest.mark.parametrize("at_last", ["answers", "fails"])
@pytest.mark.parametrize("same_worker", [True, False])
async def test_who_lost_a_task_records_nothing_of_it(
    database_url: str, redis_url: str, at_last: str, same_worker: bool
) -> None:
    """Whether its step answers at last or fails for the last time: the task is somebody else's, who may be a neighbour."""
    scanner = Slow()
    async with (
        deployment(database_url, redis_url) as hansard,
        worker(hansard, database_url, redis_url, scanner=scanner, claim_seconds=0.3) as first,
        worker(hansard, database_url, redis_url, claim_seconds=0.3) as second,
    ):
        ada = await hansard.person()
        file_id = (await ada.upload(b"some text"))["id"]
        hand = first.hand("scan", beat_seconds=3600, tries_max=1)  # it is stuck: no beat in time
        async with running(_once(hand)):  # and no second time: the heir is as stuck
            await scanner.asking.wait()
            heir, over = (first if same_worker else second).tasks, None

            async def taken_over() -> bool:
                nonlocal over
                over = await heir.take("scan")
                return over is not None

            await until(taken_over)
            assert over is not None
            scanner.away = at_last == "fails"
            with logged(structlog.processors.JSONRenderer()) as said:
                scanner.go.set()
                await until(lambda: _said(said, "taken over"))
        events = (await hansard.services.record.streams([FILE.id(UUID(file_id))]))[FILE.id(UUID(file_id))]
        assert len(events) == 1, "it was received, and nothing else"
        assert await heir.beat(over) and len(await heir.listed()) == 1


async def _once(hand: TaskWorker) -> None:
    while not await hand.step():
        pass


async def _said(said: io.StringIO, what: str) -> bool:
    return what in said.getvalue()


async def test_a_store_that_is_away_for_a_while_delays_and_loses_nothing(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url) as hansard:

        class Away:
            def __init__(self) -> None:
                self.left = 3

            def __getattr__(self, name: str) -> Any:
                return getattr(hansard.services.blobs, name)

            async def put(self, blob: str, file: Any) -> None:
                if self.left:
                    self.left -= 1
                    file.unlink()
                    raise BlobsUnavailableError("away")
                await hansard.services.blobs.put(blob, file)

        async with worker(hansard, database_url, redis_url, blobs=Away()) as works, working(works):
            ada = await hansard.person()
            file_id = (await ada.upload(pictures.jpeg()))["id"]
            assert (await ended(ada, file_id))["status"] == "completed"
            assert len(await ends(works, file_id)) == 1


async def test_what_ended_meanwhile_is_left_as_it_is(database_url: str, redis_url: str) -> None:
    async with (
        deployment(database_url, redis_url) as hansard,
        worker(hansard, database_url, redis_url) as works,
    ):
        ada = await hansard.person()
        file_id = FileId(UUID((await ada.upload(pictures.jpeg()))["id"]))
        await hansard.services.command_bus.do(FailFile(file_id, "gave_up"), SAGA)
        assert await works.saga.do(ScanFile(file_id, ada.id)) is None  # type: ignore[arg-type]
        assert len(await ends(works, str(file_id))) == 1


async def test_of_each_kind_so_many_are_done_at_once_and_none_holds_up_another(
    database_url: str, redis_url: str
) -> None:
    class Slow:
        """A saga that counts, and goes on when everybody is there who may be."""

        def __init__(self) -> None:
            self.now: Counter[str] = Counter()
            self.most: Counter[str] = Counter()
            self.done = 0

        async def do(self, task: Any, held: Any) -> None:
            kind = KIND_OF[type(task)]
            self.now[kind] += 1
            self.most[kind] = max(self.most[kind], self.now[kind])
            await until(self._full)
            self.now[kind] -= 1
            self.done += 1

        async def _full(self) -> bool:
            return self.done > 0 or self.now == Counter(scan=3, image=1)

    async with deployment(database_url, redis_url) as hansard:
        saga, who = Slow(), UserId(uuid4())
        tasks = RedisTasks.open(redis_url, hansard.services.record_id, "worker", claim_seconds=30, block_ms=50)
        await tasks.add(*(ScanFile(FileId(uuid4()), who) for _ in range(6)))
        await tasks.add(*(ProcessImage(FileId(uuid4()), who) for _ in range(4)))
        hands = worker_pool({"scan": 3, "image": 1, "document": 2}, tasks, saga, chance=lambda: 0.5)  # type: ignore[arg-type]

        async def all_done() -> bool:
            return saga.done == 10

        async with running(*(hand.run() for hand in hands)):
            await until(all_done)
        await tasks.close()
    assert saga.most == Counter(scan=3, image=1)
