"""An S3 that fails when it is told to, in the middle of what is asked of it: a proxy before a real one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import aiohttp
from aiohttp import web
from yarl import URL

from tests.blobs.stores import Nanio, until_it_answers

Fault = Literal["killed", "hangs", "503", "500"]
REFUSAL = "<?xml version='1.0'?><Error><Code>{}</Code><Message>Not now.</Message></Error>"
CODES = {"503": "SlowDown", "500": "InternalError"}
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding"})


class FaultyS3:
    """Hands everything on, signatures and all; from a fault until it is healed, nothing."""

    def __init__(self, server: Nanio, session: aiohttp.ClientSession) -> None:
        self._server = server
        self._session = session
        self._fault: Fault | None = None
        self._left = 0
        self._is_halved = False
        self._healed = asyncio.Event()
        self.hit = asyncio.Event()

    def fail(self, fault: Fault, *, after: int, halfway: bool = False) -> None:
        """Fail after so many more requests; `halfway`: the first that fails is answered by half."""
        self._fault, self._left, self._is_halved = fault, after, halfway
        self._healed.clear()
        self.hit.clear()

    async def heal(self) -> None:
        if self._fault == "killed" and self.hit.is_set():
            self._server.start()
            await until_it_answers(self._server.url)
        self._fault = None
        self._healed.set()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._fault is not None and self._left == 0:
            return await self._fails(request)
        self._left -= self._fault is not None
        return await self._handed_on(request)

    async def _fails(self, request: web.BaseRequest) -> web.StreamResponse:
        fault, is_first = self._fault, not self.hit.is_set()
        if is_first and self._is_halved:
            return await self._handed_on(request, halfway=True)
        self.hit.set()
        match fault:
            case "503" | "500":
                return web.Response(
                    status=int(fault), text=REFUSAL.format(CODES[fault]), content_type="application/xml"
                )
            case "hangs":
                await self._healed.wait()
            case "killed" if is_first:
                self._server.kill()
        return _hung_up(request)

    async def _handed_on(self, request: web.BaseRequest, *, halfway: bool = False) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        body = request.content if request.body_exists else None
        url = URL(self._server.url + request.raw_path, encoded=True)
        async with self._session.request(request.method, url, headers=headers, data=body) as answer:
            told = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
            response = web.StreamResponse(status=answer.status, headers=told)
            content = await answer.read()
            await response.prepare(request)
            if halfway:
                await response.write(content[: len(content) // 2])
                self.hit.set()
                if self._fault == "hangs":
                    await self._healed.wait()
                if self._fault == "killed":
                    self._server.kill()
                return _hung_up(request, response)
            await response.write(content)
            await response.write_eof()
            return response


def _hung_up(request: web.BaseRequest, response: web.StreamResponse | None = None) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return response or web.Response()


@asynccontextmanager
async def faulty_s3(folder: Path, port: int) -> AsyncIterator[FaultyS3]:
    """A faulty S3 on this port of loopback, before a nanio on a folder."""
    server = Nanio(folder)
    try:
        await until_it_answers(server.url)
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            faulty = FaultyS3(server, session)
            runner = web.ServerRunner(web.Server(faulty.handle), handle_signals=False)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port, shutdown_timeout=0.1).start()
            yield faulty
            await runner.cleanup()
    finally:
        server.kill()
