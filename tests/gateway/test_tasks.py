"""What administrators see of tasks that are queued, fail or were given up, and another try for them: recorded, and done once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

from hansard_client import Client

from adapters.memory.notices import MemoryChannel, MemoryPresence
from adapters.postgres.database import Database
from adapters.redis.task_entries import Envelope, encode
from adapters.redis.task_queue import TASKS_LISTED_MAX, RedisTasks
from domain.ids import FileId, UserId
from domain.ports.channels import Later, Refused
from domain.processing import SENTENCES
from domain.tasks import MakeExport, ScanFile
from gateway.http.pagination import cursor_of
from projections import LIVE, NOTIFICATIONS, exports
from tests.deployments import PASSWORD, Gateway, Person, as_login, deployment, until
from tests.files.deployments import Works, ended, worker, working
from tests.files.test_saga import Moody, queued
from tests.gateway.test_operating import administrator, all_events
from workers.notice_planner import NoticePlanner
from workers.notice_teller import NoticeTeller

SCANNER_AWAY = "The scanner does not answer, or not in a way that could be believed."


async def tasks(ada: Person, **query: Any) -> list[dict[str, Any]]:
    """Return what an administrator sees, from all pages."""
    found: list[dict[str, Any]] = []
    page: dict[str, Any] = {"next_cursor": None}
    while not found or page["next_cursor"]:
        cursor = {} if page["next_cursor"] is None else {"cursor": page["next_cursor"]}
        page = await ada.ask("GET", "/admin/tasks", 200, params={**query, **cursor})
        assert len(page["items"]) <= query.get("limit", 50) and (page["items"] or not page["next_cursor"])
        found += page["items"]
        if not page["items"]:
            break
    return found


async def scanned(works: Works, **options: Any) -> None:
    hand = works.hand("scan", **options)
    while not await hand.step():
        pass


async def retries(database_url: str) -> list[tuple[str, str]]:
    events = await all_events(database_url)
    return [(event.topic, getattr(event, "task_id", "")) for event in events if event.topic.endswith(".retried")]


async def test_a_file_that_fails_is_listed_and_is_tried_again_and_done(database_url: str, redis_url: str) -> None:
    scanner = Moody()
    async with (
        deployment(database_url, redis_url) as hansard,
        worker(hansard, database_url, redis_url, scanner=scanner, claim_seconds=30) as works,
    ):
        ada, ben = await administrator(hansard), await hansard.person()
        assert await tasks(ada) == []
        file_id = (await ben.upload(b"coal prices", "ben's secret.txt"))["id"]
        name = f"scan.{file_id}"
        [queued] = await tasks(ada)
        assert (queued["id"], queued["kind"], queued["state"]) == (name, "scan", "queued")
        assert (queued["attempts"], queued["error"], queued["can_retry"]) == (0, None, False)
        assert (queued["about_id"], queued["user_id"], queued["due_at"]) == (file_id, ben.id, None)
        assert (await ada.ask("POST", f"/admin/tasks/{name}/retry", 202))["retried"] is False

        await scanned(works, backoff_seconds=3600)
        [failed] = await tasks(ada, state="failed", kind="scan")
        assert (failed["attempts"], failed["error"], failed["can_retry"]) == (1, SCANNER_AWAY, True)
        await _is_no_task_of_others(ada, file_id)
        assert failed["due_at"] > failed["at"] and await tasks(ada, state="queued") == []
        assert await ada.ask("POST", f"/admin/tasks/{name}/retry", 202) == {"id": name, "kind": "scan", "retried": True}
        [due] = await tasks(ada)
        assert (due["state"], due["error"]) == ("queued", SCANNER_AWAY)

        await scanned(works, tries_max=2)
        assert (await ended(ben, file_id))["error"]["code"] == "gave_up"
        [dead] = await tasks(ada, state="dead")
        assert (dead["id"], dead["error"], dead["can_retry"]) == (name, SENTENCES["gave_up"], True)
        await _is_no_task_of_others(ada, file_id)
        asked = [ada.ask("POST", f"/admin/tasks/{name}/retry", 202) for _ in range(2)]
        assert any(each["retried"] for each in await asyncio.gather(*asked))
        scanner.away = False
        async with working(works):
            assert (await ended(ben, file_id))["status"] == "completed"
            await until(lambda: is_empty(ada))  # its task goes after it
        assert (await ada.ask("POST", f"/admin/tasks/{name}/retry", 404))["code"] == "task.not_found"
        assert "secret" not in str([queued, failed, dead])
    assert await retries(database_url) == [("task.retried", name), ("task.retried", name), ("file.retried", "")]


async def test_a_file_is_tried_again_however_many_others_wait_before_it(database_url: str, redis_url: str) -> None:
    """More of them than the list shows."""
    async with (
        deployment(database_url, redis_url) as hansard,
        worker(hansard, database_url, redis_url, scanner=Moody(), claim_seconds=30) as works,
    ):
        ada, ben = await administrator(hansard), await hansard.person()
        file_id = (await ben.upload(b"coal prices"))["id"]
        await scanned(works, backoff_seconds=3600)
        others = (ScanFile(FileId(uuid4()), UserId(UUID(ben.id))) for _ in range(TASKS_LISTED_MAX))
        due = hansard.services.now().timestamp() * 1000
        waiting = {encode(Envelope(each, 2, hansard.services.now())): due for each in others}
        await works.tasks._redis.zadd(works.tasks._later_key("scan"), waiting)
        name = f"scan.{file_id}"
        for retried in (True, False):
            answer = await ada.ask("POST", f"/admin/tasks/{name}/retry", 202)
            assert answer == {"id": name, "kind": "scan", "retried": retried}
        [due_now] = await queued(works.tasks, "scan")
        assert file_id.encode() in due_now[b"task"]
        assert await works.tasks._redis.zcard(works.tasks._later_key("scan")) == TASKS_LISTED_MAX


async def _is_no_task_of_others(ada: Person, file_id: str) -> None:
    """Assert that what a scanner has to do is nothing that others do."""
    for kind in ("image", "document"):
        answer = await ada.ask("POST", f"/admin/tasks/{kind}.{file_id}/retry", 404)
        assert answer["code"] == "task.not_found"


async def is_empty(ada: Person) -> bool:
    return await tasks(ada) == []


@asynccontextmanager
async def notices(hansard: Gateway, database_url: str, *people: Person) -> AsyncIterator[tuple[Any, MemoryChannel]]:
    """A notifier with a device for each of these people; answers what tells all that there is, and what it tells by."""
    own = await Database.open(as_login(database_url, "notifier"), size=4)
    push = MemoryChannel()
    for person in people:
        push.add(UUID(person.id), UUID(person.id))
    clock, here = hansard.services.now, MemoryPresence()
    planner = NoticePlanner(hansard.services.record, own, (push,), here, now=clock, mail_seconds=600)
    teller = NoticeTeller(own, (push,), here, now=clock, mail_seconds=600)

    async def tell(until_position: int) -> None:
        await hansard.settled(until_position, (LIVE.name, NOTIFICATIONS.name))  # nobody is told before both are there
        while await planner.step():
            pass
        while await teller.step():
            pass

    yield tell, push
    await own.close()


async def test_notices_that_fail_are_listed_by_page_and_told_at_last(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url) as hansard:
        ada = await administrator(hansard)
        others = [await hansard.person() for _ in range(5)]
        async with notices(hansard, database_url, *others) as (tell, push):
            room_id = await ada.room(*others)
            await tell((await ada.say(room_id, "hello"))["position"])
            push.told.clear()
            for i, each in enumerate(others):
                push.answers[UUID(each.id)] = [Refused("answered 403") if i else Later(3600.0)]
            said = await ada.say(room_id, " ".join(f"@{each.username}" for each in others))
            await tell(said["position"])
            assert push.told == []

            found = await tasks(ada, limit=2)
            assert len(found) == len({each["id"] for each in found}) == 5
            assert [each["at"] for each in found] == sorted((task["at"] for task in found), reverse=True)
            by_state = {each["user_id"]: (each["state"], each["error"], each["attempts"]) for each in found}
            expected = {each.id: ("dead", "answered 403", 1) for each in others}
            assert by_state == expected | {others[0].id: ("failed", None, 1)}
            assert len(await tasks(ada, state="dead", kind="push", limit=3)) == 4
            async with Client(hansard.base) as client:
                await client.login(ada.email, PASSWORD)
                seen = [each async for each in client.tasks(state="failed")]
                assert [(each.user_id, each.attempts, each.can_retry) for each in seen] == [(others[0].id, 1, True)]
                assert seen[0].due_at is not None and seen[0].due_at > seen[0].at
            assert await tasks(ada, kind="mail") == []

            for task in found:
                channel, account_id, position, target_id = task["id"].split(".")
                longer = f"{channel}.{account_id}.00{position}.{target_id}"
                assert (await ada.ask("POST", f"/admin/tasks/{longer}/retry", 404))["code"] == "task.not_found"
                path = f"/admin/tasks/{task['id']}/retry"
                assert [(await ada.ask("POST", path, 202))["retried"] for _ in range(2)] == [True, False]
            await tell(said["position"])
            assert {told.target_id for told in push.told} == {UUID(each.id) for each in others}
            assert len(push.told) == 5 and await is_empty(ada)
            for task in found:
                assert (await ada.ask("POST", f"/admin/tasks/{task['id']}/retry", 404))["code"] == "task.not_found"
    assert await retries(database_url) == [("task.retried", task["id"]) for task in found]


async def test_without_the_queue_what_was_given_up_is_listed_and_what_is_over_is_not_tried_again(
    database_url: str, redis_url: str
) -> None:
    async with deployment(database_url, redis_url) as hansard:
        ada = await administrator(hansard)
        body = {"json": {"formats": ["jsonl"]}, "headers": {"Hansard-Reason": "a case"}}
        asked = await ada.ask("POST", "/audit/exports", 202, **body)
        name = f"export.{asked['id']}"
        assert [each["id"] for each in await tasks(ada)] == [name]
        queue = hansard.services.tasks
        assert isinstance(queue, RedisTasks) and await queue.add(MakeExport(UUID(asked["id"]))) == 0
        await queue._redis.set(queue._stream("export"), "no stream")
        assert (await ada.ask("GET", "/admin/tasks", 503))["code"] == "server.busy"
        await exports.end(hansard.services.db, UUID(asked["id"]), "failed", "proof_unavailable")
        [dead] = await tasks(ada, state="dead")
        assert (dead["id"], dead["user_id"], dead["can_retry"]) == (name, ada.id, False)
        assert dead["error"].startswith("The record could not prove")
        for task_id, status, code in (
            (name, 409, "task.not_retryable"),
            (f"erasure.{uuid4()}", 409, "task.not_retryable"),
            (f"scan.{uuid4()}", 404, "task.not_found"),
            (f"rebuild.{uuid4()}", 404, "task.not_found"),
            (f"scan.{uuid4().hex}", 404, "task.not_found"),
            (f"push.{uuid4()}.x.{uuid4()}", 404, "task.not_found"),
            (f"push.{uuid4()}.{2**63}.{uuid4()}", 404, "task.not_found"),
            (f"push.{uuid4()}.{'9' * 5_000}.{uuid4()}", 404, "task.not_found"),
            ("nothing", 404, "task.not_found"),
        ):
            assert (await ada.ask("POST", f"/admin/tasks/{task_id}/retry", status))["code"] == code
        other = cursor_of(hansard.services.record_id, "tasks", 1, "\0")
        for query in ({"state": "lost"}, {"kind": "lost"}, {"cursor": "AAAA"}, {"cursor": other}):
            await ada.ask("GET", "/admin/tasks", 422, params=query)


async def test_an_erasure_is_named_by_the_person_and_not_by_the_secret_that_reads_it(
    database_url: str, redis_url: str
) -> None:
    async with deployment(database_url, redis_url) as hansard:
        ada, ben = await administrator(hansard), await hansard.person()
        why = {"headers": {"Hansard-Reason": "a letter"}}
        asked = await ada.ask("POST", f"/users/{ben.id}/erasure", 202, **why)
        head = (await hansard.services.record.head()).position
        answer = await ada.http.get("/admin/tasks?kind=erasure", headers={"Hansard-After": f"{head}"})
        [task] = answer.json()["items"]
        assert (task["id"], task["about_id"], task["user_id"]) == (f"erasure.{ben.id}", ben.id, ben.id)
        assert asked["erasure_id"] not in answer.text
        code = (await ada.ask("POST", f"/admin/tasks/{task['id']}/retry", 409))["code"]
        assert code == "task.not_retryable"
