"""Stalls: when a client does not read what was written for it."""

import asyncio

ANSWER_BYTES_A_SECOND_MIN = 512  # on average, after WRITE_STALL_SECONDS of not being taken at once
CLOSING_SECONDS = 15.0


class Stall:
    """One connection's. A client that reads something is only slow: a download may take as long as its bytes need at a low rate."""

    def __init__(self, seconds: float) -> None:
        self._bound_seconds = seconds
        self._buffered = 0
        self._unchanged_seconds = 0.0
        self._paused_seconds = 0.0
        self._read_bytes = 0
        self._closing_seconds = 0.0

    def end(self) -> None:
        """Begin anew: the client has read most of what was written."""
        self._buffered = self._read_bytes = 0
        self._unchanged_seconds = self._paused_seconds = 0.0

    def is_stuck(self, transport: asyncio.Transport, seconds: float, *, is_paused: bool) -> bool:
        """Return whether the client reads nothing, reads too little, or keeps a closing connection from ending."""
        try:
            buffered = transport.get_write_buffer_size()
        except RuntimeError:
            return False  # the connection has just ended
        read, self._buffered = max(0, self._buffered - buffered), buffered
        self._unchanged_seconds = 0.0 if read or not buffered else self._unchanged_seconds + seconds
        if is_paused:
            self._paused_seconds += seconds
            self._read_bytes += read
        else:
            self._paused_seconds, self._read_bytes = 0.0, 0
        self._closing_seconds = self._closing_seconds + seconds if transport.is_closing() and not read else 0.0
        slow_seconds = self._read_bytes / ANSWER_BYTES_A_SECOND_MIN + self._bound_seconds
        return (
            self._unchanged_seconds > self._bound_seconds
            or self._paused_seconds > slow_seconds
            or self._closing_seconds > CLOSING_SECONDS
        )
