"""A chat on wires made by the test: when it comes back, when it stays away, what it asks for, what it gives up.

Time is made up: the loop's clock jumps to the next timer whenever nothing else is to be done. So nothing here waits, and
what the library does is shown to need no clock but its loop's.
"""

import asyncio
import json
import selectors
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hansard_client import Backoff, Chat, Closed, Event, Notice, Refused, Unacknowledged, Unreachable
from hansard_client.feeds import FEED_EVENTS_MAX, NOTICES_MAX

from tests.clients.test_conversation import LOBBY, event, frame, hello

MESSAGE = str(UUID(int=31))
QUICK = Backoff(first_seconds=0.001, most_seconds=0.001)


class MadeUpTime(asyncio.SelectorEventLoop):
    """A loop without I/O whose time passes only when everybody waits."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self.now


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: MadeUpTime) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everybody waits, and nothing is to come"
        self._loop.now += max(timeout, 0)
        return super().select(0)


class _Policy(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self) -> MadeUpTime:
        return MadeUpTime()


@pytest.fixture
def event_loop_policy() -> asyncio.DefaultEventLoopPolicy:
    return _Policy()


class Wire:
    """The test's end of one connection."""

    def __init__(self) -> None:
        self.heard_at = 0.0
        self.is_closed = False
        self._down: asyncio.Queue[str | Closed] = asyncio.Queue()
        self._up: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def send(self, text: str) -> None:
        self._up.put_nowait(json.loads(text))

    async def receive(self) -> str:
        said = await self._down.get()
        if isinstance(said, Closed):
            raise said
        self.heard_at = asyncio.get_running_loop().time()
        return said

    async def close(self) -> None:
        self.is_closed = True

    def say(self, *frames: str | Closed) -> None:
        for each in frames:
            self._down.put_nowait(each)

    async def asked(self, kind: str) -> dict[str, Any]:
        """Return the next frame of the client, which is of this type."""
        async with asyncio.timeout(5):
            asked = await self._up.get()
        assert asked["type"] == kind, asked
        return asked

    async def takes_subscription(self) -> dict[str, Any]:
        asked = await self.asked("subscribe")
        self.say(frame("reply", id=asked["id"], ok=True))
        return asked

    def unread(self) -> int:
        return self._down.qsize()


class Server:
    """Takes every connection; `tokens` are those it was shown, `stale` those that the client said were refused."""

    def __init__(self, *refusals: Closed | Refused) -> None:
        self.tokens: list[str] = []
        self.stale: list[str | None] = []
        self._refusals = list(refusals)
        self._wires: asyncio.Queue[Wire] = asyncio.Queue()

    async def dial(self, token: str) -> Wire:
        self.tokens.append(token)
        if self._refusals:
            raise self._refusals.pop(0)
        wire = Wire()
        self._wires.put_nowait(wire)
        return wire

    async def token(self, stale: str | None) -> str:
        self.stale.append(stale)
        return f"token {len([each for each in self.stale if each is not None])}"

    async def wire(self, *, greeted: bool = True, seconds: float = 5) -> Wire:
        """Return the next connection of the client."""
        async with asyncio.timeout(seconds):
            wire = await self._wires.get()
        if greeted:
            wire.say(hello())
        return wire

    def chat(self, **options: Any) -> Chat:
        return Chat(self.dial, self.token, **{"backoff": QUICK, "chance": Random(1), **options})


@pytest.mark.parametrize("code", [None, 1000, 1006, 1011, 1012, 4000, 4008, 4410, 4414, 4499])
async def test_after_these_codes_it_comes_back_and_repeats_what_was_not_answered(code: int | None) -> None:
    server = Server()
    async with server.chat() as chat, asyncio.TaskGroup() as group:
        sending = group.create_task(chat.send(LOBBY, "hello", message_id=MESSAGE))
        first = await server.wire()
        sent = await first.asked("send")
        first.say(Closed(code))
        second = await server.wire()
        assert await second.asked("send") == sent
        assert first.is_closed
        second.say(frame("reply", id=sent["id"], ok=True, position=7, message_id=MESSAGE, duplicate=True))
        assert (await sending).position == 7
    assert second.is_closed


@pytest.mark.parametrize("code", [4500, 4501, 4505, 4999])
async def test_after_these_codes_it_stays_away_and_says_so(code: int) -> None:
    server = Server()
    async with server.chat() as chat:
        wire = await server.wire()
        wire.say(Closed(code, "go"))
        with pytest.raises(Closed) as closed:
            await chat.send(LOBBY, "hello")
        assert (closed.value.code, closed.value.is_final) == (code, True)
    assert len(server.tokens) == 1


async def test_a_refused_token_is_renewed_before_it_comes_back() -> None:
    server = Server(Closed(4401))
    async with server.chat():
        wire = await server.wire()
        wire.say(Closed(4401))
        await server.wire()
    assert server.tokens == ["token 0", "token 1", "token 2"]
    assert server.stale == [None, "token 0", "token 1"]


async def test_an_expiring_token_is_renewed_in_band_and_a_refused_one_is_replaced() -> None:
    server = Server()
    async with server.chat():
        wire = await server.wire()
        wire.say(frame("expiring", in_seconds=60))
        asked = await wire.asked("authenticate")
        assert asked["token"] == "token 1"
        wire.say(frame("reply", id=asked["id"], ok=True, session_expires_in=900), frame("expiring", in_seconds=60))
        asked = await wire.asked("authenticate")
        no = {"code": "auth.token_invalid", "detail": "No.", "status": 401, "retryable": False}
        wire.say(frame("reply", id=asked["id"], ok=False, error=no))
        second = await server.wire()
        assert server.tokens == ["token 0", "token 3"]
        second.say(frame("pong"))


async def test_a_handshake_that_can_never_work_is_raised() -> None:
    server = Server(Closed(None), Refused("origin.refused", 403, "No."))
    async with server.chat() as chat:
        with pytest.raises(Refused, match=r"origin\.refused"):
            await chat.subscribe(LOBBY)


@pytest.mark.parametrize("error", [Unreachable("nobody"), Refused("server.busy", 503, "Later.", retry_after=0.01)])
async def test_a_renewal_that_cannot_be_had_now_is_tried_again(error: Exception) -> None:
    errors, server = [error], Server()

    async def token(stale: str | None) -> str:
        if errors:
            raise errors.pop()
        return "token"

    async with Chat(server.dial, token, backoff=QUICK):
        await server.wire()
    assert server.tokens == ["token"]


async def test_a_session_that_is_over_is_raised_where_it_is_waited_for() -> None:
    async def token(stale: str | None) -> str:
        raise Refused("auth.session_revoked", 401, "Over.")

    async with Chat(Server().dial, token, backoff=QUICK) as chat:
        with pytest.raises(Refused, match=r"auth\.session_revoked"):
            await chat.send(LOBBY, "hello")


async def test_a_connection_on_which_nothing_comes_is_given_up_and_a_ping_keeps_it() -> None:
    server = Server()
    async with server.chat() as chat:
        wire = await server.wire(greeted=False)
        wire.say(frame("hello", record="r", position=0, heartbeat_seconds=25))
        loop = asyncio.get_running_loop()
        started = loop.time()
        for _ in range(10):  # pings are heard below the frames
            await asyncio.sleep(60)
            wire.heard_at = loop.time()
        assert chat.connections == 1 and not wire.is_closed
        await server.wire(seconds=100)
        assert loop.time() - started == pytest.approx(600 + 62.5, abs=0.1)


async def test_a_reader_that_does_not_read_stops_the_socket_for_no_heartbeat() -> None:
    server = Server()
    async with server.chat() as chat, asyncio.TaskGroup() as group:
        subscribing = group.create_task(chat.subscribe(LOBBY, after=0))
        wire = await server.wire()
        await wire.takes_subscription()
        feed = await subscribing
        wire.say(*(event(i, i - 1) for i in range(1, FEED_EVENTS_MAX + 11)))
        await asyncio.sleep(1_000)
        assert wire.unread() == 10, "no more is taken than the queue holds"
        assert [(await anext(feed)).position for _ in range(FEED_EVENTS_MAX + 10)] == list(
            range(1, FEED_EVENTS_MAX + 11)
        )
        # The queue is full again, and there is nothing more to be heard when it is read at last.
        wire.say(*(event(i, i - 1) for i in range(FEED_EVENTS_MAX + 11, 2 * FEED_EVENTS_MAX + 11)))
        await asyncio.sleep(1_000)
        for _ in range(FEED_EVENTS_MAX):
            await anext(feed)
        await asyncio.sleep(30)
        assert not wire.is_closed


async def test_a_connection_that_ends_while_a_feed_is_full_loses_nothing() -> None:
    server = Server()
    async with server.chat() as chat, asyncio.TaskGroup() as group:
        subscribing = group.create_task(chat.subscribe(LOBBY, after=0))
        wire = await server.wire()
        await wire.takes_subscription()
        feed = await subscribing
        wire.say(*(event(i, i - 1) for i in range(1, FEED_EVENTS_MAX + 2)), Closed(None))
        assert [(await anext(feed)).position for _ in range(FEED_EVENTS_MAX + 1)] == list(range(1, FEED_EVENTS_MAX + 2))
        again = await (await server.wire()).takes_subscription()
        assert again["rooms"] == {LOBBY: FEED_EVENTS_MAX + 1}


async def test_sent_away_it_hears_on_and_comes_back_at_the_time_named() -> None:
    server = Server()
    async with server.chat() as chat, asyncio.TaskGroup() as group:
        subscribing = group.create_task(chat.subscribe(LOBBY, after=0))
        wire = await server.wire()
        await wire.takes_subscription()
        feed = await subscribing
        started = asyncio.get_running_loop().time()
        wire.say(frame("reconnect", after_ms=1_200))
        await asyncio.sleep(0.5)
        wire.say(event(1, 0))
        assert (await anext(feed)).position == 1
        second = await server.wire()
        assert asyncio.get_running_loop().time() - started == pytest.approx(1.2, abs=0.01)
        assert wire.is_closed
        assert (await second.takes_subscription())["rooms"] == {LOBBY: 1}


async def test_what_the_server_cannot_take_now_is_asked_again_under_the_same_id() -> None:
    server = Server()
    no = {"code": "server.unavailable", "detail": "Later.", "status": 503, "retryable": True}
    async with server.chat() as chat, asyncio.TaskGroup() as group:
        sending = group.create_task(chat.send(LOBBY, "hello"))
        wire = await server.wire()
        first = await wire.asked("send")
        wire.say(frame("reply", id=first["id"], ok=False, error=no))
        second = await wire.asked("send")
        assert second == {**first, "id": second["id"]} and second["id"] != first["id"]
        wire.say(frame("reply", id=second["id"], ok=True, position=7, duplicate=False))
        assert (await sending).message_id == first["message_id"]
        subscribing = group.create_task(chat.subscribe(LOBBY, after=3))
        asked = await wire.asked("subscribe")
        wire.say(frame("reply", id=asked["id"], ok=False, error=no))
        assert (await (await server.wire()).takes_subscription())["rooms"] == {LOBBY: 3}
        await subscribing


async def test_what_is_not_answered_in_time_is_not_repeated() -> None:
    server = Server()
    async with server.chat() as chat:
        wire = await server.wire()
        with pytest.raises(Unacknowledged) as late:
            await chat.send(LOBBY, "hello", message_id=MESSAGE, timeout=0.05)
        assert late.value.message_id == MESSAGE
        with pytest.raises(Unreachable):
            await chat.subscribe(LOBBY, timeout=0.05)
        await wire.asked("send")
        await wire.asked("subscribe")
        assert (await wire.asked("unsubscribe"))["room_id"] == LOBBY
        wire.say(Closed(None))
        second = await server.wire()
        chat.typing(LOBBY)
        async with asyncio.timeout(5):
            while chat.connections < 2:
                await asyncio.sleep(0.01)
        chat.typing(LOBBY)
        await second.asked("typing")


async def test_notices_that_nobody_reads_are_dropped_the_oldest_first_and_counted() -> None:
    server = Server()
    async with server.chat() as chat:
        notices = chat.notices()
        wire = await server.wire()
        wire.say(*(frame("typing", room_id=LOBBY, user_id=str(i)) for i in range(NOTICES_MAX)), event(9, None, None))
        async with asyncio.timeout(5):
            while notices.dropped < 2:
                await asyncio.sleep(0.01)
        told = [await anext(notices) for _ in range(NOTICES_MAX)]
    assert isinstance(told[0], Notice) and told[0].frame["user_id"] == "1", "the hello and the first were dropped"
    assert isinstance(told[-1], Event)
    assert [notice async for notice in notices] == []


async def test_pauses_grow_while_nothing_is_achieved_and_are_short_again_afterwards() -> None:
    server, loop = Server(*(Closed(None) for _ in range(5))), asyncio.get_running_loop()
    pauses = []
    async with server.chat(backoff=Backoff(first_seconds=1, most_seconds=8)):
        wire = await server.wire(seconds=60)
        assert 23 / 2 <= loop.time() <= 23, "1, 2, 4, 8 and 8 s at most, half of each at least"
        for code in (None, 4414, 4008, 4013):
            wire.say(frame("pong"), frame("typing", room_id=LOBBY, user_id="x"), Closed(code))
            started = loop.time()
            wire = await server.wire(seconds=60)
            pauses.append(loop.time() - started)
    for pause, bound in zip(pauses, (1, 2, 4, 8), strict=True):
        assert bound / 2 <= pause <= bound, "too much asked is no progress: the pauses grow"


async def test_leaving_ends_every_task_and_everybody_who_waits() -> None:
    server = Server()
    before = asyncio.all_tasks()
    async with server.chat() as chat:
        wire = await server.wire()
        notices = chat.notices()
        subscribing = asyncio.create_task(chat.subscribe(LOBBY, after=0))
        await wire.takes_subscription()
        feed = await subscribing
        sending = asyncio.create_task(chat.send(LOBBY, "hello"))
        await wire.asked("send")
    assert wire.is_closed
    with pytest.raises(Closed, match="the chat was left"):
        await sending
    assert [told async for told in feed] == []
    assert [told.type async for told in notices if isinstance(told, Notice)] == ["hello"]
    with pytest.raises(Closed, match="over"):
        await chat.subscribe(LOBBY)
    assert asyncio.all_tasks() == before


async def test_what_is_no_frame_is_raised_to_the_user() -> None:
    server = Server()
    async with server.chat() as chat:
        wire = await server.wire()
        wire.say("[1]")
        with pytest.raises(ValueError, match="a frame is a JSON object"):
            await chat.send(LOBBY, "hello")
