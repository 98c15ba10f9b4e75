"""Request progress: which part of a request a connection is reading, and how many bytes and seconds that has taken.

Pure bookkeeping: the protocol (`gateway/server/http1.py`) reports what its parser and its clock see, asks what is exceeded,
and answers the client.
"""

from typing import Literal

from gateway.server.connections import ConnectionBounds

TARGET_BYTES_MAX = 8 * 1024
HEAD_BYTES_MAX = 32 * 1024
BODY_BYTES_A_SECOND_MIN = 1024  # on average, after the grace
BODY_OVERHEAD_BYTES_MAX = 32 * 1024  # heads, extensions and trailers of chunks, beside as much as the body itself

Phase = Literal["idle", "head", "body"]

HEADER_OVERHEAD_BYTES = len(b": \r\n")


class RequestProgress:
    """Between two requests (`idle`), in a head, or in a body. Seconds are counted only while the protocol reads."""

    def __init__(self, bounds: ConnectionBounds) -> None:
        self.phase: Phase = "idle"
        self.read_bytes = 0  # of this head; or of this body, as they came
        self._bounds = bounds
        self._previous_phase: Phase = "idle"
        self._began = False  # a request, in the bytes that were just parsed
        self._header_bytes = 0
        self._body_bytes = 0
        self._overhead_run_bytes = 0  # that came since the last byte of the body itself
        self._waited_seconds = 0.0  # for this phase
        self._stalled_seconds = 0.0  # since the last byte of the body itself

    # What the parser finds

    def begin_parsing(self) -> None:
        """Note that bytes came; between two requests they are the beginning of a head."""
        if self.phase == "idle":
            self.phase, self._waited_seconds, self.read_bytes = "head", 0.0, 0
        self._previous_phase, self._began = self.phase, False

    def begin_head(self) -> None:
        self._began = True
        self.phase = "head"
        self._header_bytes = self.read_bytes = 0

    def add_header(self, name: bytes, value: bytes) -> bool:
        """Count a header. Return False if the headers are too large together."""
        self._header_bytes += len(name) + len(value) + HEADER_OVERHEAD_BYTES
        return self._header_bytes <= HEAD_BYTES_MAX

    def begin_body(self) -> None:
        self.phase = "body"
        self.read_bytes = self._body_bytes = self._overhead_run_bytes = 0
        self._waited_seconds = self._stalled_seconds = 0.0

    def add_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        self._overhead_run_bytes = 0
        self._stalled_seconds = 0.0

    def end(self) -> None:
        self.phase = "idle"
        self._waited_seconds = 0.0

    def end_parsing(self, size: int) -> bool:
        """Count the bytes that were parsed. Return False if they are not counted.

        Where a request began within them, or one phase ended, it is unknown how many belong to the present phase; the
        next ones are counted.
        """
        if self._began or self.phase != self._previous_phase:
            return False
        self.read_bytes += size
        if self.phase == "body":
            self._overhead_run_bytes += size
        return True

    # What is exceeded

    @property
    def is_head_too_large(self) -> bool:
        return self.phase == "head" and self.read_bytes > TARGET_BYTES_MAX + HEAD_BYTES_MAX

    def has_too_much_overhead(self, size: int) -> bool:
        """Return whether too much stands around the chunks of a body, `size` bytes of which were just parsed."""
        overhead = self.read_bytes - self._body_bytes
        return (
            overhead > BODY_OVERHEAD_BYTES_MAX + self._body_bytes
            or self._overhead_run_bytes > BODY_OVERHEAD_BYTES_MAX + size
        )

    def is_head_late(self, seconds: float) -> bool:
        """Count seconds. Return whether the head takes too long."""
        self._waited_seconds += seconds
        return self._waited_seconds > self._bounds.head_seconds

    def is_body_late(self, seconds: float) -> bool:
        """Count seconds. Return whether the body comes too slowly, or has stopped coming."""
        self._waited_seconds += seconds
        self._stalled_seconds += seconds
        allowed = self._bounds.body_grace_seconds + self._body_bytes / BODY_BYTES_A_SECOND_MIN
        return self._waited_seconds > allowed or self._stalled_seconds > self._bounds.body_idle_seconds

    def is_idle_too_long(self, seconds: float, *, is_first: bool) -> bool:
        """Count seconds. Return whether the connection's first request, or its next one, does not come."""
        self._waited_seconds += seconds
        return self._waited_seconds > (self._bounds.head_seconds if is_first else self._bounds.keep_alive_seconds)

    def restart_waiting(self) -> None:
        self._waited_seconds = 0.0
