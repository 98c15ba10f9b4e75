"""Dialling a server that is killed at that very moment."""

import asyncio
import socket

import pytest
import uvloop
from hansard_client import Closed
from hansard_client.wire import dialer


def test_a_connection_cut_before_the_handshake_is_one_to_come_back_from() -> None:
    """With uvloop the end of a connection may be heard of before its first byte is sent (found by `make chaos`)."""

    async def dial() -> None:
        ours, theirs = socket.socketpair()
        theirs.close()
        ours.setblocking(False)
        with pytest.raises(Closed) as closed:
            await dialer("http://127.0.0.1:1", sock=ours)("a token")
        assert not closed.value.is_final

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(dial())
