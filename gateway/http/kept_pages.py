"""Kept pages: the bytes of pages that were asked for again, served as long as the database says that they would be the same.

Whoever asks is judged anew, and the state of the page is read anew (`projections/page_states.py`): what is kept is an answer,
never the right to it, and no message of a change has to arrive here. A page is kept when it is asked for a second time and has no
newer message than the first time, so a room in which somebody talks costs nothing here.

Kept bytes hold texts: they are dropped after `KEPT_SECONDS`, asked for or not, and at once when a data key is destroyed
(`adapters/postgres/key_news.py`).
"""

import asyncio
from collections import OrderedDict
from typing import NamedTuple

from domain.ids import RoomId

KEPT_SECONDS = 10.0
KEPT_BYTES_MAX = 16 * 1024**2
KEPT_PAGE_BYTES_MAX = 256 * 1024
ASKED_REMEMBERED_MAX = 4_096


class PageKey(NamedTuple):
    """A page of a room's messages before a position (None: the newest)."""

    room_id: RoomId
    before: int | None
    limit: int
    html: bool


class KeptPage(NamedTuple):
    """What the page is, and what it was when the body was made."""

    state: bytes
    body: bytes


class KeptPages:
    """The pages of one gateway process; of more than `bytes_max` those kept first are dropped."""

    def __init__(self, *, seconds: float = KEPT_SECONDS, bytes_max: int = KEPT_BYTES_MAX) -> None:
        self.seconds = seconds
        self._bytes_max = bytes_max
        self._pages: OrderedDict[PageKey, KeptPage] = OrderedDict()
        self._newest: OrderedDict[PageKey, int] = OrderedDict()
        self.bytes = 0
        self.clearings = 0

    def find(self, key: PageKey) -> KeptPage | None:
        return self._pages.get(key)

    def is_asked_again(self, key: PageKey, newest: int) -> bool:
        """Note the position of a page's first message. Return whether it was the same the last time."""
        last = self._newest.pop(key, None)
        self._newest[key] = newest
        if len(self._newest) > ASKED_REMEMBERED_MAX:
            self._newest.popitem(last=False)
        return last == newest

    def keep(self, key: PageKey, page: KeptPage) -> None:
        """Keep a page for some seconds, unless it is too large."""
        self._drop(key)
        if len(page.body) > min(KEPT_PAGE_BYTES_MAX, self._bytes_max):
            return
        while self.bytes + len(page.body) > self._bytes_max:
            self._drop(next(iter(self._pages)))
        self._pages[key] = page
        self.bytes += len(page.body)
        asyncio.get_running_loop().call_later(self.seconds, self.forget, key, page)

    def forget(self, key: PageKey, page: KeptPage) -> None:
        """Drop a page, unless another one was kept in its place."""
        if self._pages.get(key) is page:
            self._drop(key)

    def clear(self) -> None:
        """Drop all pages, and count that: a page that was read before is not to be kept afterwards."""
        self._pages.clear()
        self.bytes = 0
        self.clearings += 1

    def _drop(self, key: PageKey) -> None:
        if (page := self._pages.pop(key, None)) is not None:
            self.bytes -= len(page.body)
