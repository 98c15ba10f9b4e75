"""What a rebuild says of itself: how far it is, and how each table compares with the one that was served."""

from msgspec import Struct


class Progress(Struct, frozen=True):
    group: str
    done: int
    total: int
    seconds: float

    def sentence(self) -> str:
        rate = self.done / self.seconds if self.seconds else 0
        share = self.done / self.total if self.total else 1
        return f"{self.group}: {self.done:,} of {self.total:,} events ({share:.0%}), {rate:,.0f}/s"


class Verdict(Struct, frozen=True):
    """How a rebuilt table compares with the one that was served, both at `position`."""

    table: str
    rows: int
    is_equal: bool
    swapped: bool
    position: int
    served: str
    rebuilt: str

    def sentence(self) -> str:
        found = "equals what was served" if self.is_equal else "DIFFERS from what was served"
        done = "swapped in" if self.swapped else "not swapped"
        sums = self.rebuilt if self.is_equal else f"{self.served} -> {self.rebuilt}"
        return f"{self.table}: {self.rows:,} rows at position {self.position:,}, {found} ({sums}), {done}."
