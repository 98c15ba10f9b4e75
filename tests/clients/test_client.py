"""The client's HTTP calls against a real gateway, over a transport that refuses, loses answers, or says it is busy."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from hansard_client import Backoff, Client, NotLoggedIn, Refused, Unreachable

from tests.channels.push_service import FakeDevice
from tests.clients.people import SOON, Faults, aged, own_id, person
from tests.deployments import PASSWORD, Gateway, deployment, gateway, notary
from tests.ports import free_port


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


def busy(status: int, retry_after: str | None = None) -> httpx.Response:
    headers = {"Retry-After": retry_after} if retry_after else {}
    problem = {"status": status, "code": "server.busy", "detail": "Later.", "request_id": "r1"}
    return httpx.Response(status, json=problem, headers=headers)


async def test_every_route_is_called_as_it_wants_to_be(hansard: Gateway) -> None:
    async with person(hansard, "ada") as ada, person(hansard, "ben") as ben:
        assert (await ada.me()).username == "ada"
        assert (await ada.change_me(avatar_url="https://a.example/a.png")).avatar_url == "https://a.example/a.png"
        assert (await ada.change_me(avatar_url=None, username="ada.l")).username == "ada.l"
        found = await ada.user_named("BEN")
        assert found is not None and found.id == own_id(ben)
        assert await ada.user_named("nobody") is None
        assert await ada.users([own_id(ben)]) == [await ada.user(own_id(ben))]
        room = await ada.open_room("Lobby", description="for all")
        assert (room.name, room.description, room.my_role) == ("Lobby", "for all", "owner")
        assert (await ada.change_room(room.id, description=None, version=room.version)).description is None
        assert await ben.join(room.id) == "member"
        await ada.put_member(room.id, own_id(ben), "admin")
        members = [member async for member in ben.members(room.id, limit=1, after=ada.position)]
        assert [(member.user_id, member.role) for member in members] == [(own_id(ada), "owner"), (own_id(ben), "admin")]
        first = await ben.send(room.id, "hello")
        answer = await ada.send(room.id, "hello yourself", reply_to=first.id)
        assert (await ada.message(answer.id)).reply_to == first.id
        edited = await ben.edit(first.id, "hello!", version=first.version, reason="più gentile")
        assert (edited.content, edited.is_edited) == ("hello!", True)
        assert [version.content for version in await ada.history(first.id, after=ben.position)] == ["hello", "hello!"]
        await ben.react(answer.id, "👍")
        await ada.react(answer.id, "👍")
        await ada.react(answer.id, "#️⃣")
        await ada.unreact(answer.id, "#️⃣")
        given = (await ada.message(answer.id, after=ada.position)).reactions
        assert given is not None and [(each.emoji, each.count, each.me) for each in given] == [("👍", 2, True)]
        reactors = [(each.emoji, each.user_id) async for each in ada.reactors(answer.id, limit=1, after=ada.position)]
        assert reactors == [("👍", own_id(ben)), ("👍", own_id(ada))]
        one = await ben.send(room.id, "one", thread_id=first.id)
        two = await ada.send(room.id, "two", thread_id=first.id, in_room=True)
        assert (one.thread_id, one.in_room, two.in_room) == (first.id, False, True)
        assert [each.content async for each in ben.replies(first.id, limit=1, after=ada.position)] == ["one", "two"]
        thread = (await ben.message(first.id)).thread
        assert thread is not None and (thread.reply_count, thread.unread) == (2, 1)
        assert (thread.participants, thread.last_reply_at) == ((own_id(ben), own_id(ada)), two.created_at)
        await ben.mark_thread_read(first.id, two.position)
        thread = (await ben.message(first.id, after=ben.position)).thread
        assert thread is not None and (thread.following, thread.unread) == (True, 0)
        await ben.unfollow_thread(first.id)
        thread = (await ben.message(first.id, after=ben.position)).thread
        assert thread is not None and (thread.following, thread.unread) == (False, None)
        await ben.follow_thread(first.id)
        device = FakeDevice("https://10.0.0.1/x")
        with pytest.raises(Refused, match=r"endpoint\.refused"):
            await ada.subscribe_push(device.as_json())
        device.endpoint = "https://push.example.invalid.example/x"
        pushed = await ada.subscribe_push(device.as_json(), device="telephone")
        assert await ada.push_subscriptions(after=ada.position) == [pushed] and pushed.device == "telephone"
        assert await ada.test_push(pushed.id) == "later" and len(await ada.push_key()) == 87
        await ada.unsubscribe_push(pushed.id)
        assert await ada.push_subscriptions(after=ada.position) == []
        assert (await ada.put_webhook("https://hooks.example/x")).startswith("whsec_")
        assert await ada.webhook() == "https://hooks.example/x"
        await ada.remove_webhook()
        await ada.pin(answer.id)
        await ada.pin(first.id)
        await ada.unpin(first.id)
        assert [(each.id, each.pinned) for each in await ben.pins(room.id, after=ada.position)] == [(answer.id, True)]
        then = first.position
        past = [(each.content, each.version) async for each in ada.messages(room.id, as_of=then, limit=1)]
        assert past[0] == ("hello", 1)
        assert [each.role async for each in ada.members(room.id, as_of=then, limit=1)] == ["owner", "admin"]
        assert (await ada.room(room.id, as_of=first.created_at)).last_message is not None
        assert [each.name async for each in ada.rooms(as_of=then)] == ["Lobby"]
        changes = [
            (each.type, dict(each.before), dict(each.after)) async for each in ben.room_history(room.id, limit=2)
        ]
        assert changes[3] == ("member.role_changed", {"role": "member"}, {"role": "admin"})
        assert changes[-1][0] == "room.opened"
        assert (await ada.delete(answer.id)).deleted
        await ben.mark_read(room.id, answer.position)
        named = await ada.send(room.id, "@ben: look")
        assert (
            named.mentions == (own_id(ben),)
            and (await ben.message(named.id, after=ada.position)).mentions == named.mentions
        )
        assert (await ben.room(room.id)).mention_count == 1
        await ben.mark_read(room.id, named.position)
        seen = await ben.room(room.id, after=ben.position)
        assert (seen.unread, seen.read_position, seen.member_count) == (0, named.position, 2)
        alone = await ben.direct([own_id(ada)])
        assert (alone.kind, alone.member_count, room.kind) == ("direct", 2, "room")
        assert (await ada.direct([own_id(ben)])).id == alone.id
        await ada.block(own_id(ben))
        assert await ada.blocks() == [own_id(ben)]
        with pytest.raises(Refused, match=r"direct\.blocked"):
            await ben.send(alone.id, "hello?")
        await ada.unblock(own_id(ben))
        assert await ada.blocks() == []
        await ben.leave(room.id)
        await ada.put_member(room.id, own_id(ben))
        await ada.remove_member(room.id, own_id(ben), ban=True)
        with pytest.raises(Refused, match=r"room\.banned"):
            await ben.join(room.id)
        await ada.archive_room(room.id)
        assert [one.id async for one in ada.rooms(after=ada.position)] == [alone.id]
        assert [one.id async for one in ada.rooms(q="lob", joined=True, archived=True)] == [room.id]
        assert (await ada.meta()).position == ada.position


async def test_messages_come_in_every_order_and_across_pages(hansard: Gateway) -> None:
    async with person(hansard) as ada:
        room = await ada.open_room("Lobby")
        said = [await ada.send(room.id, f"m{i}") for i in range(7)]
        texts = [message.content for message in said]

        async def read(**where: int) -> list[str]:
            messages = ada.messages(room.id, limit=2, after=ada.position, **where)
            return [message.content async for message in messages if message.message_type == "text"]

        assert await read() == texts[::-1]
        assert await read(newer_than=said[1].position) == texts[2:]
        assert await read(older_than=said[3].position) == texts[2::-1]
        assert said[3].content in await read(around=said[3].position)
        with pytest.raises(Refused, match="record_changed"):
            await read(newer_than=10**9)


async def test_a_refusal_says_everything_that_the_problem_said(hansard: Gateway) -> None:
    async with person(hansard) as ada:
        with pytest.raises(Refused) as refused:
            await ada.call("POST", "/rooms", body={"name": "Lobby", "nmae": "x"})
        no = refused.value
        assert (no.code, no.status, no.is_retryable) == ("field.unknown", 422, False)
        assert [fault.pointer for fault in no.errors] == ["/nmae"]
        assert no.request_id
        with pytest.raises(ValueError, match="badly formed"):
            await ada.room("../users/me")


@pytest.mark.parametrize("faults", [["lose"], ["refuse"], ["lose", "refuse", "lose"]])
async def test_a_post_whose_answer_is_lost_happens_once(hansard: Gateway, faults: list[str]) -> None:
    transport = Faults()
    async with person(hansard, transport=transport) as ada:
        transport.faults["/rooms"] = [*faults]
        room = await ada.open_room("Lobby")
        assert [one.id async for one in ada.rooms(after=ada.position)] == [room.id]
        transport.faults[f"/rooms/{room.id}/messages"] = [*faults]
        message = await ada.send(room.id, "once")
        found = [one async for one in ada.messages(room.id, newer_than=0, after=ada.position)]
        assert [one.id for one in found if one.message_type == "text"] == [message.id]
        transport.faults["/auth/register"] = [*faults]
        async with Client(hansard.base, transport=transport, backoff=SOON) as ben:
            assert (await ben.register("ben@example.com", "ben", PASSWORD)).username == "ben"


async def test_a_busy_server_is_asked_again_when_it_says(hansard: Gateway) -> None:
    transport = Faults()
    async with person(hansard, transport=transport, patience_seconds=1.5) as ada:
        transport.faults["/users/me"] = [lambda: busy(503), lambda: busy(429, "1")]
        loop = asyncio.get_running_loop()
        started = loop.time()
        assert (await ada.me()).is_active
        assert loop.time() - started >= 1
        transport.faults["/users/me"] = [lambda: busy(503, "60")]
        with pytest.raises(Refused) as refused:
            await ada.me()
        assert (refused.value.code, refused.value.retry_after, refused.value.is_retryable) == ("server.busy", 60, True)
        transport.faults["/users/me"] = [lambda: httpx.Response(500, text="<html>")]
        with pytest.raises(Refused, match=r"http\.500"):
            await ada.me()


async def test_a_change_on_condition_of_a_version_is_not_repeated_once_it_may_have_arrived(hansard: Gateway) -> None:
    transport = Faults()
    async with person(hansard, transport=transport) as ada:
        message = await ada.send((await ada.open_room("Lobby")).id, "hello")
        path = f"/messages/{message.id}"
        transport.faults[path] = ["refuse", "lose"]
        with pytest.raises(Unreachable):
            await ada.edit(message.id, "hello!", version=1)
        changed = await ada.message(message.id, after=message.position + 1)
        assert (changed.content, changed.version) == ("hello!", 2)
        with pytest.raises(Refused) as stale:
            await ada.edit(message.id, "hello?", version=1)
        assert stale.value.status == 412
        transport.faults[path] = ["lose"]
        assert (await ada.edit(message.id, "hello?")).version == 3


async def test_nobody_there_is_unreachable_after_a_bounded_patience() -> None:
    async with Client(f"http://127.0.0.1:{free_port()}", backoff=SOON, patience_seconds=0.2) as nobody:
        with pytest.raises(Unreachable, match="does not answer"):
            await nobody.meta()
        with pytest.raises(NotLoggedIn):
            await nobody.me()
        with pytest.raises(NotLoggedIn):
            nobody.chat()


async def test_however_many_ask_the_session_is_renewed_once(hansard: Gateway) -> None:
    transport = Faults()
    async with person(hansard, transport=transport) as ada:
        assert ada.session is not None
        ada.session = aged(hansard, ada.session, 1_000)
        await asyncio.gather(*(ada.me() for _ in range(20)))
        renewals = [each for each in transport.requests if each.url.path.endswith("/auth/refresh")]
        assert len(renewals) == 1
        before = ada.session
        after = await ada.refresh()
        assert after.refresh_token != before.refresh_token


async def test_a_kept_session_goes_on_in_another_client(hansard: Gateway) -> None:
    async with person(hansard) as ada:
        assert ada.session is not None
        async with Client(hansard.base, session=aged(hansard, ada.session, 1_000)) as later:
            assert (await later.me()).id == own_id(ada)


async def test_a_session_that_is_over_says_so_and_is_forgotten(hansard: Gateway) -> None:
    async with person(hansard) as ada:
        assert ada.session is not None
        spent = ada.session
        async with Client(hansard.base, session=ada.session) as other:
            await other.logout()
            await other.logout()
            assert other.session is None
        with pytest.raises(Refused, match=r"auth\.session_revoked"):
            await ada.me()
        ada.session = aged(hansard, spent, 1_000)
        with pytest.raises(Refused, match=r"auth\.session_revoked"):
            await ada.me()
        with pytest.raises(NotLoggedIn):
            await ada.me()
        await ada.login(spent.user.email, PASSWORD)
        assert (await ada.me()).id == spent.user.id


async def test_a_renewal_whose_answer_is_lost_is_fetched_again_under_the_same_key(hansard: Gateway) -> None:
    transport = Faults()
    async with person(hansard, transport=transport) as ada:
        transport.faults["/auth/refresh"] = ["lose"]
        session = await ada.refresh()
        assert (await ada.me()).id == session.user.id
        keys = {
            each.headers["idempotency-key"] for each in transport.requests if each.url.path.endswith("/auth/refresh")
        }
        assert len(keys) == 1


async def test_one_reads_ones_own_write_through_another_gateway(
    hansard: Gateway, database_url: str, redis_url: str
) -> None:
    async with gateway(database_url, redis_url) as second, person(hansard, backoff=Backoff()) as ada:
        room = await ada.open_room("Lobby")
        async with Client(second.base, session=ada.session) as elsewhere:
            for i in range(10):
                message = await ada.send(room.id, str(i))
                assert (await elsewhere.message(message.id, after=ada.position)).content == str(i)


async def test_one_keeps_a_receipt_and_the_checkpoint_that_it_stands_in(hansard: Gateway, database_url: str) -> None:
    async with person(hansard) as ada, notary(database_url):
        message = await ada.send((await ada.open_room("Lobby")).id, "I owe you 40 crowns")
        receipt = await ada.proof(message.id, after=ada.position)
        assert receipt.startswith("c2sp.org/tlog-proof@v1\n") and f"\nindex {message.position - 1}\n" in receipt
        assert int((await ada.checkpoint()).split("\n")[1]) >= message.position
        with pytest.raises(Refused) as refused:
            await ada.checkpoint(witnessed=True)
        assert refused.value.code == "audit.nothing_signed"
