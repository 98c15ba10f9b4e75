"""Upload slots: who gets one, who loses it, and how fast an upload must come on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from ipaddress import ip_network
from uuid import uuid4

import pytest

from domain.errors import BusyError, TooManyUploadsError
from domain.ids import UserId
from gateway.edge.client_address import Proxies
from gateway.http.upload_slots import (
    UPLOAD_BYTES_A_SECOND_MIN,
    UPLOAD_IDLE_SECONDS,
    UPLOAD_SHORT_BYTES_A_SECOND_MIN,
    UPLOAD_SHORT_SECONDS,
    UPLOAD_TRIED_SECONDS,
    UPLOADS_AT_ONCE_MAX,
    UPLOADS_OF_USER_MAX,
    UploadSlots,
)
from tests.deployments import Gateway, Person, gateway, running, until

PROXIES = Proxies((ip_network("127.0.0.0/8"),))


class TaskWorker:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def somebody() -> UserId:
    return UserId(uuid4())


def test_slots_are_so_many_in_all_and_of_each_and_are_given_back() -> None:
    slots = UploadSlots(at_once=5, of_user=2, of_address=3)
    ada, ben = somebody(), somebody()
    for _ in range(2):
        with ExitStack() as stack:
            for _ in range(2):
                stack.enter_context(slots.take(ada, "here"))
            with pytest.raises(TooManyUploadsError), slots.take(ada, "elsewhere"):
                pass
            stack.enter_context(slots.take(ben, "here"))
            with pytest.raises(TooManyUploadsError), slots.take(somebody(), "here"):
                pass
            for place in ("there", "yonder"):
                stack.enter_context(slots.take(somebody(), place))
            with pytest.raises(BusyError), slots.take(somebody(), "anywhere"):
                pass


def test_while_slots_are_short_each_has_to_come_on_faster_from_then_on() -> None:
    clock = TaskWorker()
    slots = UploadSlots(at_once=4, clock=clock)
    with ExitStack() as stack:
        first = stack.enter_context(slots.take(somebody(), "a"))
        clock.now += 100
        first.add(100 * UPLOAD_BYTES_A_SECOND_MIN)
        assert first.seconds_left() == UPLOAD_IDLE_SECONDS, "as slow as it may be"
        stack.enter_context(slots.take(somebody(), "b"))
        assert first.seconds_left() == UPLOAD_IDLE_SECONDS
        third = ExitStack()
        third.enter_context(slots.take(somebody(), "c"))
        assert first.seconds_left() == UPLOAD_SHORT_SECONDS, "what was before is not held against it"
        clock.now += UPLOAD_SHORT_SECONDS
        first.add(2 * UPLOAD_SHORT_BYTES_A_SECOND_MIN)
        assert first.seconds_left() == pytest.approx(2)
        clock.now += 3
        assert first.seconds_left() == pytest.approx(-1)
        third.close()
        assert first.seconds_left() > 10, "and when there are enough again it is as before"


def test_who_comes_when_none_is_free_gets_that_of_the_slowest_of_them_the_oldest() -> None:
    clock = TaskWorker()
    slots = UploadSlots(at_once=4, clock=clock)
    with ExitStack() as stack:
        oldest, old, fast, whole = [stack.enter_context(slots.take(somebody(), name)) for name in "abcd"]
        whole.complete()
        with pytest.raises(BusyError), slots.take(somebody(), "e"):
            pass
        clock.now += UPLOAD_TRIED_SECONDS
        fast.add(int(UPLOAD_TRIED_SECONDS * UPLOAD_SHORT_BYTES_A_SECOND_MIN) + 1)
        for slot in (oldest, old):
            slot.add(100)
        ended = []
        for _ in range(2):
            fresh = stack.enter_context(slots.take(somebody(), "f"))
            assert fresh.seconds_left() > 0
            ended.append([slot.seconds_left() <= 0 for slot in (oldest, old, fast)])
        assert ended == [[True, False, False], [True, True, False]]
        with pytest.raises(BusyError), slots.take(somebody(), "g"):
            pass


@asynccontextmanager
async def dripping(hansard: Gateway, who: Person, address: str) -> AsyncIterator[asyncio.StreamReader]:
    """An upload that comes on just as fast as one has to on average, and no faster."""
    reader, writer = await asyncio.open_connection("127.0.0.1", hansard.port)
    writer.write(
        f"POST /api/v1/files/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {who.token}\r\n"
        f"X-Forwarded-For: {address}\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 900000\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'.encode()
    )

    async def drip() -> None:
        while True:
            writer.write(b"x" * (UPLOAD_BYTES_A_SECOND_MIN // 4))
            await asyncio.sleep(0.25)

    try:
        async with running(drip()):
            yield reader
    finally:
        writer.transport.abort()


async def test_eight_people_who_take_all_slots_slowly_keep_nobody_from_uploading(
    database_url: str, redis_url: str
) -> None:
    async with gateway(database_url, redis_url, proxies=PROXIES) as hansard, AsyncExitStack() as stack:
        people = [await hansard.person() for _ in range(UPLOADS_AT_ONCE_MAX // UPLOADS_OF_USER_MAX)]
        for number, who in enumerate(people):
            for _ in range(UPLOADS_OF_USER_MAX):
                await stack.enter_async_context(dripping(hansard, who, f"198.51.100.{number}"))
        ada = await hansard.person()

        async def taken() -> bool:
            answer = await ada.http.post("/files/upload", files={"file": ("a", b"of mine")})
            assert answer.status_code in (202, 503), answer.text
            return answer.status_code == 202

        await until(taken, seconds=UPLOAD_TRIED_SECONDS + 5)
        for _ in range(5):
            await ada.upload(b"another of mine", status=202)
