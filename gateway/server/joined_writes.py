"""Joined writes: the head of an answer and its body are one write, as uvicorn makes them two.

Each write is a system call, a segment on the wire and a wake-up of the client. A short write is held until the next one, at most
until the end of this turn of the loop, so nothing waits for an application. Whatever else is asked of the transport comes after
what is held.
"""

import asyncio
from typing import Any

HELD_BYTES_MAX = 4 * 1024


class JoinedWrites(asyncio.Transport):
    """A transport above another one, `below`."""

    def __init__(self, below: asyncio.Transport) -> None:
        super().__init__()
        self.below = below
        self._held = b""
        self._loop = asyncio.get_running_loop()

    def write(self, data: Any) -> None:
        """Write, after what is held. What comes first and is short is held."""
        if self._held:
            held, self._held = self._held, b""
            self.below.writelines((held, data))
        elif 0 < len(data) <= HELD_BYTES_MAX:
            self._held = bytes(data)
            self._loop.call_soon(self.flush)
        else:
            self.below.write(data)

    def flush(self) -> None:
        """Write what is held. It is dropped if the client reset the connection: uvloop's transports refuse to write then."""
        held, self._held = self._held, b""
        if held and not self.below.is_closing():
            self.below.write(held)

    def write_eof(self) -> None:
        self.flush()
        self.below.write_eof()

    def close(self) -> None:
        self.flush()
        self.below.close()

    def abort(self) -> None:
        self._held = b""
        self.below.abort()

    def can_write_eof(self) -> bool:
        return self.below.can_write_eof()

    def is_closing(self) -> bool:
        return self.below.is_closing()

    def get_write_buffer_size(self) -> int:
        return self.below.get_write_buffer_size() + len(self._held)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.below.get_extra_info(name, default)
