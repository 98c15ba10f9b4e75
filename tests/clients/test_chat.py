"""A chat against real gateways: events once and in order, sends once, across whatever becomes of its connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from random import Random
from uuid import uuid4

import pytest
from hansard_client import Closed, Event, Notice, Notices, NotLoggedIn, RecordChanged, Refused, Unacknowledged
from hansard_client.feeds import FEED_EVENTS_MAX

from tests.clients.people import Frail, Mute, aged, events, own_id, person
from tests.deployments import Gateway, deployment, gateway
from tests.lines import a_second
from tests.ports import free_port


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def test_what_one_says_the_other_hears(hansard: Gateway) -> None:
    async with person(hansard) as ada, person(hansard) as ben:
        room = await ada.open_room("Lobby")
        await ben.join(room.id)
        async with ada.chat() as hers, ben.chat() as his:
            feed = await his.subscribe(room.id)
            sent = await hers.send(room.id, "hello")
            (event,) = await events(feed, 1)
            assert event.message is not None
            assert (event.kind, event.message.content, event.position) == ("message.posted", "hello", sent.position)
            assert (event.actor_id, event.message.id) == (own_id(ada), sent.message_id)
            edited = await hers.edit(sent.message_id, "hello!")
            deleted = await hers.delete(sent.message_id)
            told = await events(feed, 2)
            assert [(each.kind, each.position) for each in told] == [
                ("message.edited", edited),
                ("message.deleted", deleted),
            ]
            await his.read(room.id, deleted)
            assert feed.position == deleted and feed.record == (await ben.meta()).record


async def test_a_feed_after_a_position_has_everything_since_and_then_is_live(hansard: Gateway) -> None:
    async with person(hansard) as ada:
        room = await ada.open_room("Lobby")
        said = [await ada.send(room.id, f"m{i}") for i in range(3)]
        async with ada.chat() as chat:
            feed = await chat.subscribe(room.id, after=said[0].position)
            assert await feed.live() >= said[0].position
            new = await chat.send(room.id, "new")
            told = await events(feed, 3)
            assert [event.position for event in told] == [said[1].position, said[2].position, new.position]
            await feed.close()
            assert [event async for event in feed] == []
            again = await chat.subscribe(room.id, after=feed.position, record=feed.record)
            last = await chat.send(room.id, "last")
            assert [event.position for event in await events(again, 1)] == [last.position]


async def test_the_same_send_again_is_a_duplicate_and_another_under_its_id_is_refused(hansard: Gateway) -> None:
    async with person(hansard) as ada, ada.chat() as chat:
        room = await ada.open_room("Lobby")
        message_id = uuid4()
        first = await chat.send(room.id, "once", message_id=message_id)
        again = await chat.send(room.id, "once", message_id=message_id)
        assert (first.duplicate, again.duplicate, again.position) == (False, True, first.position)
        with pytest.raises(Refused) as refused:
            await chat.send(room.id, "twice", message_id=message_id)
        assert (refused.value.code, refused.value.status) == ("message.id_taken", 409)


async def test_through_cuts_at_random_moments_and_two_gateways_nothing_is_lost_or_doubled(
    hansard: Gateway, database_url: str, redis_url: str
) -> None:
    chance = Random(20_261_124)
    async with gateway(database_url, redis_url) as second, AsyncExitStack() as stack:
        people = [await stack.enter_async_context(person(hansard)) for _ in range(3)]
        room = await people[0].open_room("Lobby")
        quiet = await people[0].open_room("Quiet")
        for one in people[1:]:
            await one.join(room.id)
            await one.join(quiet.id)
        lines = [Frail((hansard, second), chance, frames_max=25) for _ in people]
        chats = [
            await stack.enter_async_context(one.chat(dial=line.dial)) for one, line in zip(people, lines, strict=True)
        ]
        feeds = [await chat.subscribe(room.id) for chat in chats]
        others = [await chat.subscribe(quiet.id, after=0) for chat in chats]

        async def talk(speaker: int) -> list[int]:
            return [
                (await chats[speaker].send(room.id if i % 5 else quiet.id, f"{speaker} {i}")).position
                for i in range(40)
            ]

        async with asyncio.TaskGroup() as group:
            talking = [group.create_task(talk(speaker)) for speaker in range(3)]
            hearing = [group.create_task(events(feed, 96, seconds=60)) for feed in feeds]
            aside = [group.create_task(events(feed, 28, seconds=60)) for feed in others]
        heard = hearing[0].result()
        assert all(task.result() == heard for task in hearing)
        assert all(task.result() == aside[0].result() for task in aside)
        told = [event for event in (*heard, *aside[0].result()) if event.kind == "message.posted"]
        assert sorted(event.position for event in told) == sorted(at for task in talking for at in task.result())
        assert [event.prev for event in heard[1:]] == [event.position for event in heard[:-1]]
        assert sum(line.cuts for line in lines) >= 10, "the wires were frail"
        assert [chat.gaps for chat in chats] == [0, 0, 0], "a correct server's wire that is only cut has no gaps"


async def test_what_is_withheld_is_no_gap(hansard: Gateway) -> None:
    """What becomes of messages from before one's joining, where a room's history begins with it, is told to others only."""
    async with person(hansard) as ada, person(hansard) as ben, ada.chat() as hers:
        room = await ada.open_room("Lobby")
        await ada.change_room(room.id, history="joined")
        old = await hers.send(room.id, "of before")
        await ben.join(room.id)
        async with ben.chat() as his:
            from_now, whole = await his.subscribe(room.id), await hers.subscribe(room.id)
            for i in range(3):
                await hers.edit(old.message_id, f"edited {i}")
                await hers.send(room.id, f"said {i}")
            told = await events(from_now, 3)
            assert [event.data["content"] for event in told] == ["said 0", "said 1", "said 2"]
            assert len(await events(whole, 6)) == 6
            assert (his.gaps, hers.gaps) == (0, 0)
        async with ben.chat() as his:
            again = await his.subscribe(room.id, after=told[0].position)
            await hers.edit(old.message_id, "edited")
            await hers.send(room.id, "said 3")
            assert [event.data["content"] for event in await events(again, 3)] == ["said 1", "said 2", "said 3"]
            assert his.gaps == 0


async def test_a_reader_that_does_not_read_stops_the_socket_and_misses_nothing(hansard: Gateway) -> None:
    count = 3 * FEED_EVENTS_MAX
    async with person(hansard) as ada, person(hansard) as ben, ada.chat() as hers:
        room = await ada.open_room("Lobby")
        await ben.join(room.id)
        async with ben.chat() as his:
            feed = await his.subscribe(room.id)
            for start in range(0, count, 64):
                await asyncio.gather(*(hers.send(room.id, f"{start + i} {'x' * 2_000}") for i in range(64)))
            told = await events(feed, count)
        assert [event.prev for event in told[1:]] == [event.position for event in told[:-1]]
        assert {int(str(event.data["content"]).split()[0]) for event in told} == set(range(count))


async def test_a_removed_members_feed_ends_with_its_reason(hansard: Gateway) -> None:
    async with person(hansard) as ada, person(hansard) as ben:
        room = await ada.open_room("Lobby")
        await ben.join(room.id)
        async with ben.chat() as his:
            feed = await his.subscribe(room.id)
            await ada.send(room.id, "last words")
            await ada.remove_member(room.id, own_id(ben))
            await ada.send(room.id, "not for ben")
            async with asyncio.timeout(30):
                assert [event.kind async for event in feed] == ["message.posted", "member.removed"]
            assert feed.reason == "removed"
            with pytest.raises(Refused, match=r"room\.not_a_member"):
                await his.subscribe(room.id)
            await ben.join(room.id)
            assert (await his.subscribe(room.id)).reason is None


async def test_what_is_not_ones_own_is_refused_and_the_rest_goes_on(hansard: Gateway) -> None:
    async with person(hansard) as ada, person(hansard) as eve, eve.chat() as chat:
        private = await ada.open_room("Private", is_private=True)
        own = await eve.open_room("Own")
        feed = await chat.subscribe(own.id, after=0)
        for attempt in (chat.subscribe(private.id), chat.send(private.id, "hey")):
            with pytest.raises(Refused) as refused:
                await attempt
            assert refused.value.code == "room.not_found"
        with pytest.raises(ValueError, match="heard already"):
            await chat.subscribe(own.id.upper())
        with pytest.raises(ValueError, match="badly formed"):
            await chat.subscribe("lobby")
        assert [event.kind for event in await events(feed, 2)] == ["room.opened", "member.joined"]


async def test_a_position_of_another_record_is_told_as_such(hansard: Gateway) -> None:
    async with person(hansard) as ada, ada.chat() as chat:
        room = await ada.open_room("Lobby")
        with pytest.raises(RecordChanged):
            await chat.subscribe(room.id, after=0, record=str(uuid4()))
        feed = await chat.subscribe(room.id, after=10**9)
        with pytest.raises(RecordChanged):
            await events(feed, 1)
        assert (await chat.subscribe(room.id, after=0)).position == 0


async def test_one_hears_of_oneself_beside_the_rooms(hansard: Gateway) -> None:
    async with person(hansard) as ada, person(hansard) as ben, ben.chat() as chat:
        notices = chat.notices()
        hello = await anext(notices)
        assert isinstance(hello, Notice) and hello.type == "hello"
        room = await ada.open_room("Lobby")
        await ada.put_member(room.id, own_id(ben))
        async with asyncio.timeout(30):
            added = await anext(notices)
        assert isinstance(added, Event) and (added.kind, added.data["room_id"]) == ("member.joined", room.id)


async def test_an_expiring_token_is_renewed_in_band(hansard: Gateway) -> None:
    async with person(hansard) as ada:
        assert ada.session is not None
        room = await ada.open_room("Lobby")
        before = ada.session = aged(hansard, ada.session, 900 - 60.3)
        async with ada.chat() as chat:
            await chat.send(room.id, "with the old token")
            async with asyncio.timeout(30):
                while ada.session.access_token == before.access_token:
                    await asyncio.sleep(0.01)
            await chat.send(room.id, "with the new one")
            assert chat.connections == 1


async def test_an_expired_token_is_renewed_before_coming_back(hansard: Gateway) -> None:
    async with person(hansard) as ada:
        assert ada.session is not None
        room = await ada.open_room("Lobby")
        before = ada.session = aged(hansard, ada.session, 1_000)
        async with ada.chat() as chat:
            await chat.send(room.id, "hello")
        assert ada.session.refresh_token != before.refresh_token


async def test_a_session_that_ends_reaches_everybody_who_waits(hansard: Gateway) -> None:
    async with person(hansard) as ada:
        room = await ada.open_room("Lobby")
        async with ada.chat() as chat:
            feed, notices = await chat.subscribe(room.id), chat.notices()
            await ada.logout()
            for waiting in (anext(feed), _until_it_ends(notices), chat.send(room.id, "late"), chat.subscribe(room.id)):
                with pytest.raises(Closed) as closed:
                    async with asyncio.timeout(20):
                        await waiting
                assert closed.value.code == 4501
        with pytest.raises(NotLoggedIn):
            ada.chat()


async def test_the_first_log_out_of_a_record_closes_its_sockets_within_a_second(hansard: Gateway) -> None:
    async with person(hansard) as ada, ada.chat() as chat:
        notices = chat.notices()
        await anext(notices)
        within = await a_second(hansard)
        await ada.logout()
        with pytest.raises(Closed):
            async with asyncio.timeout(within):
                await _until_it_ends(notices)


async def test_an_error_that_nobody_waited_for_is_raised_at_the_end(hansard: Gateway) -> None:
    async with person(hansard) as ada:
        with pytest.raises(Closed) as closed:
            async with ada.chat() as chat:
                await anext(chat.notices())
                await ada.logout()
                async with asyncio.timeout(20):
                    while not chat.is_over:
                        await asyncio.sleep(0.01)
        assert closed.value.code == 4501


async def test_a_send_that_nobody_answers_ends_at_its_time_and_names_its_id(hansard: Gateway) -> None:
    async with person(hansard) as ada:
        room = await ada.open_room("Lobby")
        ada.url = f"http://127.0.0.1:{free_port()}"
        async with ada.chat() as chat:
            with pytest.raises(Unacknowledged) as late:
                await chat.send(room.id, "hello?", timeout=0.3)
        ada.url = hansard.base
        async with ada.chat() as chat:
            sent = await chat.send(room.id, "hello?", message_id=late.value.message_id)
        assert not sent.duplicate


async def test_a_subscription_that_a_living_connection_does_not_answer_is_asked_for_on_another(
    hansard: Gateway,
) -> None:
    async with person(hansard) as ada:
        room = await ada.open_room("Lobby")
        said = await ada.send(room.id, "before")
        mute = Mute(hansard)
        async with ada.chat(dial=mute.dial, patience=0.3) as chat:
            feed = await chat.subscribe(room.id, after=said.position - 1, timeout=10)
            assert [event.position for event in await events(feed, 1)] == [said.position]
            dialled = (
                mute.dialled
            )  # more than two where the machine is so busy that the second is not answered in time either
            assert dialled >= 2
            await asyncio.sleep(0.6)  # twice its patience: an answered subscription is not waited for
            assert mute.dialled == dialled


async def test_a_draining_gateway_hands_over_to_another(hansard: Gateway, database_url: str, redis_url: str) -> None:
    async with person(hansard) as ada:
        room = await ada.open_room("Lobby")
        async with gateway(database_url, redis_url) as second:
            line = Frail((hansard, second), Random(1), frames_max=10**9)
            async with ada.chat(dial=line.dial) as chat:
                feed = await chat.subscribe(room.id)
                first = await chat.send(room.id, "before")
                await second.services.hub.drain()
                after = await chat.send(room.id, "after")
                assert [event.position for event in await events(feed, 2)] == [first.position, after.position]
                assert chat.connections == 2


async def _until_it_ends(notices: Notices) -> None:
    async for _ in notices:
        pass
