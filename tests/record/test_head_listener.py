"""The listener of a record's head: what is committed and heard while it asks for the head is neither taken back nor waited for."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from adapters.postgres import head_listener
from adapters.postgres.head_listener import HeadListener


class Connection:
    def is_closed(self) -> bool:
        return False

    async def add_listener(self, channel: str, hear: object) -> None:
        pass


class Asked:
    """A record whose head is asked for; meanwhile somebody appends, and the listener hears of it before the answer is here."""

    def __init__(self, listener: HeadListener, answers: int, meanwhile: int) -> None:
        self.listener, self.answers, self.meanwhile = listener, answers, meanwhile
        self.times = 0

    async def head(self) -> Any:
        self.times += 1
        if self.times == 1:
            self.listener.hear(self.meanwhile)
        return SimpleNamespace(position=self.answers)


async def test_what_is_heard_while_the_head_is_asked_for_after_a_quiet_while_wakes_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(head_listener, "POLL_SECONDS", 0.01)
    listener = HeadListener("", keys_gone=lambda: None)
    listener._connection = Connection()
    record = Asked(listener, answers=8, meanwhile=9)
    following = listener.follow(cast(Any, record))
    assert await anext(following) == 9
    assert (await anext(following), record.times) == (9, 1), "it does not wait for the next poll"
    assert (await anext(following), record.times) == (9, 2), "nothing is heard: it asks, and does not go back"


async def test_what_is_heard_while_connecting_is_not_taken_back_and_what_was_heard_before_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def connect(url: str) -> Connection:
        return Connection()

    monkeypatch.setattr(head_listener, "connect", connect)
    listener = HeadListener("", keys_gone=lambda: None)
    listener.hear(20)  # of a connection that is lost
    record = Asked(listener, answers=8, meanwhile=9)
    following = listener.follow(cast(Any, record))
    assert await anext(following) == 9
