"""Answers of servers that people name, as far as they are read, and that there was none."""

from msgspec import Struct


class NoAnswerError(Exception):
    """The other side could not be connected to, or did not answer in time, or not in HTTP. `reason` names nobody."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Answer(Struct, frozen=True):
    status: int
    retry_after: str | None
    body: bytes
