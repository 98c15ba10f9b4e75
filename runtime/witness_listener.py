"""The door of `hansard witness`: C2SP tlog-witness over HTTP, a request a connection, with a bound on each.

It is as small as the metrics listener, and for the same reason (`exchanges.py`). There is no log-in: only what a known log has
signed is cosigned.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import structlog

from domain.cosignature import SUBMISSION_BYTES_MAX, AnotherSizeError, SubmissionRefusedError
from runtime.exchanges import ExchangeBounds, exchanging
from workers.cosigning import LogWitness

BOUNDS = ExchangeBounds(connections_max=64, seconds=10.0)
TEXT, SIZE = "text/plain; charset=utf-8", "text/x.tlog.size"
REASONS = {
    200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict",
    411: "Length Required", 413: "Content Too Large", 422: "Unprocessable Content", 503: "Service Unavailable",
}  # fmt: skip
_LENGTH = re.compile(rb"\d{1,9}")
_LAST = re.compile(r"/([0-9a-f]{64})/checkpoint")

log = structlog.get_logger()


class Answer(NamedTuple):
    status: int
    body: str
    media_type: str = TEXT


@asynccontextmanager
async def witness_listener(host: str, port: int, witness: LogWitness) -> AsyncIterator[int]:
    """Answer on an address while the block runs; yield the port. Raise `PortTakenError`."""
    answer, remedy = _Door(witness).answer, "Name another address with --listen."
    async with exchanging((host, port), answer, BOUNDS, remedy=remedy) as listens_on:
        yield listens_on


class _Door:
    def __init__(self, witness: LogWitness) -> None:
        self._witness = witness

    async def answer(self, reader: asyncio.StreamReader) -> bytes:
        return _bytes(await self._answer(reader))

    async def _answer(self, reader: asyncio.StreamReader) -> Answer:
        request, *lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        method, _, rest = request.decode("latin-1").partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if path.endswith("/add-checkpoint"):
            if method != "POST":
                return Answer(405, "POST\n")
            fields = (line.partition(b":") for line in lines)
            lengths = [value.strip() for name, _, value in fields if name.strip().lower() == b"content-length"]
            if len(lengths) != 1 or not _LENGTH.fullmatch(lengths[0]):
                return Answer(411, "say how long the body is\n")
            if int(lengths[0]) > SUBMISSION_BYTES_MAX:
                return Answer(413, "no checkpoint is as long as this\n")
            return await self._add(await reader.readexactly(int(lengths[0])))
        if (found := _LAST.search(path)) is not None and path.endswith(found[0]):
            note = self._witness.last(found[1])
            return Answer(404, "nothing of this log was cosigned\n") if note is None else Answer(200, note)
        return Answer(404, "POST /add-checkpoint\n")

    async def _add(self, body: bytes) -> Answer:
        try:
            return Answer(200, await self._witness.add(body.decode()))
        except UnicodeDecodeError:
            return Answer(400, "this is not UTF-8\n")
        except AnotherSizeError as refused:
            return Answer(409, f"{refused.size}\n", SIZE)
        except SubmissionRefusedError as refused:
            return Answer(refused.status, f"{refused}\n")
        except OSError as error:
            log.error("the witness cannot keep what it saw", because=str(error))
            return Answer(503, "try again later\n")


def _bytes(answer: Answer) -> bytes:
    body = answer.body.encode()
    head = (
        f"HTTP/1.1 {answer.status} {REASONS[answer.status]}\r\nContent-Type: {answer.media_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
