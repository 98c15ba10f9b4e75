"""S5: the newest 50 of 100,000 messages, over 16 connections."""

import asyncio
import time

from bench.deployment import Deployment
from bench.load import Socket
from bench.sockets import TEXT, Measured, people, room_of

MESSAGES = 100_000
CONNECTIONS = 16
WINDOW = 512


async def newest(deployment: Deployment, *, seconds: float = 6) -> Measured:
    (ada,) = await people(deployment.base, 1)
    room = await room_of(ada, [], "S5")
    await _fill(deployment, await ada.token(), room)
    path = f"/api/v1/rooms/{room}/messages"
    request = f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {await ada.token()}\r\n\r\n".encode()
    cpu, started = deployment.cpu_seconds(), time.perf_counter()
    counts = await asyncio.gather(*(_ask(deployment.port, request, started + seconds) for _ in range(CONNECTIONS)))
    elapsed, cpu = time.perf_counter() - started, deployment.cpu_seconds() - cpu
    return Measured(
        "S5 pages/s (newest 50 of 100,000, 16 connections)", f"{sum(counts) / elapsed:,.0f}", cpu * 1000 / sum(counts)
    )


async def _fill(deployment: Deployment, token: str, room: str) -> None:
    left, open_sends, done = MESSAGES, 0, asyncio.get_running_loop().create_future()

    def heard(payload: bytes) -> None:
        nonlocal left, open_sends
        if payload.startswith(b'{"type":"reply"'):
            open_sends -= 1
            if left:
                send()
            elif not open_sends and not done.done():
                done.set_result(None)

    def send() -> None:
        nonlocal left, open_sends
        left -= 1
        open_sends += 1
        socket.send(f'{{"id":{left},"type":"send","room_id":"{room}","content":"{TEXT}"}}'.encode())

    socket = await Socket.open("127.0.0.1", deployment.port, "/api/v1/ws", token, heard)
    for _ in range(WINDOW):
        send()
    await done
    socket.close()


async def _ask(port: int, request: bytes, until: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count = 0
    while time.perf_counter() < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
        count += 1
    writer.close()
    return count
