"""Stalls: when a client does not take what was written for it."""

import asyncio

from domain.bounds import ANSWER_BYTES_A_SECOND_MIN, CLOSING_SECONDS


class Stall:
    """Of one connection. Who takes something is only slow: a download may take as long as its bytes need at a low rate."""

    def __init__(self, seconds: float) -> None:
        self._bound_seconds = seconds
        self._buffered = 0
        self._still_seconds = 0.0
        self._paused_seconds = 0.0
        self._taken_bytes = 0
        self._closing_seconds = 0.0

    def end(self) -> None:
        """The client has taken most of what was written: what is written next is another matter."""
        self._buffered = self._taken_bytes = 0
        self._still_seconds = self._paused_seconds = 0.0

    def is_stuck(self, transport: asyncio.Transport, seconds: float, *, is_paused: bool) -> bool:
        """Whether the client takes nothing, too little, or keeps a connection that is closing from its end."""
        try:
            buffered = transport.get_write_buffer_size()
        except RuntimeError:
            return False  # it has just ended
        taken, self._buffered = max(0, self._buffered - buffered), buffered
        self._still_seconds = 0.0 if taken or not buffered else self._still_seconds + seconds
        if is_paused:
            self._paused_seconds += seconds
            self._taken_bytes += taken
        else:
            self._paused_seconds, self._taken_bytes = 0.0, 0
        self._closing_seconds = self._closing_seconds + seconds if transport.is_closing() and not taken else 0.0
        slow_seconds = self._taken_bytes / ANSWER_BYTES_A_SECOND_MIN + self._bound_seconds
        return (
            self._still_seconds > self._bound_seconds
            or self._paused_seconds > slow_seconds
            or self._closing_seconds > CLOSING_SECONDS
        )
