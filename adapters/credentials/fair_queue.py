"""A fair queue for expensive work: few at once, addresses and accounts in turn, and no caller holds most of the places.

When all places are taken, a newcomer takes the place of a caller who has more of them: of an address that has at least
two more, or of an account that has, unless its address has fewer. So a flood from one address or account is refused,
and nobody else. The next turn goes to the caller who was served longest ago; address and account both count.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable

from msgspec import Struct

from domain.errors import BusyError

KEYS_REMEMBERED = 8  # times the places: whoever comes again after each turn was served lately all the same


class Waiter(Struct, eq=False):
    address: str
    account: str
    number: int
    turn: "asyncio.Future[None]"
    is_served: bool = False


class FairQueue:
    """`at_once()` are served at a time, `places` are served or wait; past them `BusyError` says the sentence."""

    def __init__(self, *, at_once: Callable[[], int], places: int, sentence: str) -> None:
        self._at_once = at_once
        self._places = places
        self._sentence = sentence
        self._waiting: list[Waiter] = []
        self._serving = 0
        self._number = 0
        self._served: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting) + self._serving

    def is_full_for(self, address: str) -> bool:
        """Return whether a caller from this address would be refused, with an account that has nobody waiting."""
        return len(self) >= self._places and self._loser_to(address, "") is None

    async def turn(self, address: str, account: str) -> None:
        """Return when it is the caller's turn; call `done` afterwards. Raise `BusyError` if there is no place, or when a
        newcomer takes it."""
        if len(self) >= self._places:
            loser = self._loser_to(address, account)
            if loser is None:
                raise BusyError(self._sentence)
            self._waiting.remove(loser)
            loser.turn.set_exception(BusyError(self._sentence))
        self._number += 1
        waiter = Waiter(address, account, self._number, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        self._go_on()
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter.is_served:
                self.done()
            elif waiter in self._waiting:
                self._waiting.remove(waiter)
            raise

    def done(self) -> None:
        """Give back a turn."""
        self._serving -= 1
        self._go_on()

    def _go_on(self) -> None:
        while self._serving < self._at_once():
            there = [waiter for waiter in self._waiting if not waiter.turn.done()]
            if not there:
                return
            waiter = min(there, key=self._rank)
            self._waiting.remove(waiter)
            self._serving += 1
            waiter.is_served = True
            waiter.turn.set_result(None)
            for key in (waiter.address, waiter.account):
                self._number += 1
                self._served[key] = self._number
                self._served.move_to_end(key)
            while len(self._served) > KEYS_REMEMBERED * self._places:
                self._served.popitem(last=False)

    def _rank(self, waiter: Waiter) -> tuple[int, int, int]:
        earlier, later = sorted((self._served.get(waiter.address, 0), self._served.get(waiter.account, 0)))
        return later, earlier, waiter.number

    def _loser_to(self, address: str, account: str) -> Waiter | None:
        """Return whose place the newcomer takes; None if nobody has enough more places."""
        addresses = Counter(waiter.address for waiter in self._waiting)
        accounts = Counter(waiter.account for waiter in self._waiting)
        losers = [
            waiter
            for waiter in self._waiting
            if not waiter.turn.done()
            and (
                addresses[waiter.address] > addresses[address] + 1
                or (
                    accounts[waiter.account] > accounts[account] + 1 and addresses[waiter.address] >= addresses[address]
                )
            )
        ]
        return max(losers, default=None, key=lambda it: (addresses[it.address], accounts[it.account], it.number))
