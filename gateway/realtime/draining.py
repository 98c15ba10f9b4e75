"""Draining: before a process stops, its clients are told to reconnect elsewhere, spread over some seconds."""

import asyncio
import random

from adapters.clock import monotonic
from gateway.protocol import close_codes, server_frames
from gateway.realtime.connection import Connection
from gateway.realtime.connections import Connections

DRAIN_SECONDS = 10.0
DRAIN_SOCKETS_A_SECOND = 20
DRAIN_REPLIES_SECONDS = 5.0

DRAIN_WRITE_SECONDS = 0.1


async def drain(connections: Connections) -> None:
    """Close all sockets; each is served until its turn has come."""
    spread = min(DRAIN_SECONDS, len(connections) / DRAIN_SOCKETS_A_SECOND)
    async with asyncio.TaskGroup() as group:
        for connection in connections:
            seconds = random.uniform(0, spread)
            connection.send(server_frames.encode(server_frames.Reconnect(int(seconds * 1000))))
            group.create_task(_close(connection, seconds))
    if len(connections):  # let what was queued last be written
        await asyncio.sleep(DRAIN_WRITE_SECONDS)


async def _close(connection: Connection, seconds: float) -> None:
    """Accept no frame after so many seconds, wait for the replies that are due, and close."""
    await asyncio.sleep(seconds)
    connection.is_draining = True
    deadline = monotonic() + DRAIN_REPLIES_SECONDS
    while connection.operations and not connection.is_closed and monotonic() < deadline:
        await asyncio.sleep(0.01)
    connection.close(close_codes.DRAINING, "this server is going away")
