"""What a rebuild says of itself: how far it is, how each table compares with the one that was served, and in which rows.

A text of a row is told by its length, unless an operator wants to see it; a hashed password is never told otherwise.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct

SHOWN_CHARS_MAX = 200
NEVER_SHOWN = {"hashed_password"}


class Progress(Struct, frozen=True):
    """How far it is: at position `done` of `total`, `seconds` after it began at position `began`."""

    group: str
    done: int
    total: int
    seconds: float
    began: int = 0

    @property
    def share(self) -> float:
        """How much is done, from 0 to 1."""
        return (self.done - self.began) / (self.total - self.began) if self.total > self.began else 1.0

    def sentence(self) -> str:
        rate = (self.done - self.began) / self.seconds if self.seconds else 0
        left = f", {_clock((self.total - self.done) / rate)} left" if 0 < self.done < self.total and rate else ""
        return f"{self.group}: {self.done:,} of {self.total:,} events ({self.share:.0%}), {rate:,.0f}/s{left}"


class ServedAgain(Struct, frozen=True):
    """A table that is served again after a rollback, up to `position`, and how many rows the other one has."""

    table: str
    position: int
    rows: int
    rows_before: int

    def sentence(self) -> str:
        return (
            f"{self.table}: what was served before is served again, {self.rows:,} rows at position {self.position:,} "
            f"(until now {self.rows_before:,})."
        )


class Difference(Struct, frozen=True):
    """What differs of a row: a column, or, with `column` None, that there is such a row."""

    table: str
    key: str
    column: str | None
    type: str
    served: str | None
    rebuilt: str | None

    def sentence(self, *, show_content: bool) -> str:
        if self.column is None:
            missing = "is missing among the served" if self.served is None else "is served, and not in the record"
            return f"{self.table}, {self.key}: {missing}."
        is_shown = self.type != "text" or (show_content and self.column not in NEVER_SHOWN)
        served, rebuilt = _value(self.served, self.type, is_shown), _value(self.rebuilt, self.type, is_shown)
        return f"{self.table}, {self.key}, {self.column}: {served} -> {rebuilt}"


class Differences(Struct, frozen=True):
    """What differs of a table; `are_more`: of other rows, too."""

    of_rows: list[Difference]
    are_more: bool


class Verdict(Struct, frozen=True):
    """How a rebuilt table compares with the one that was served, both at `position`. `raised_from`: the version of the latter, if
    the new one is of a later version: then they may differ."""

    table: str
    rows: int
    is_equal: bool
    swapped: bool
    position: int
    served: str
    rebuilt: str
    differences: Differences | None = None
    raised_from: int | None = None

    @property
    def is_expected(self) -> bool:
        """Whether an operator need not look at it."""
        return self.is_equal or self.raised_from is not None

    def sentence(self) -> str:
        differs = "DIFFERS from what was served"
        if self.raised_from is not None:
            differs = f"differs from version {self.raised_from}, which was served"
        found = "equals what was served" if self.is_equal else differs
        done = "swapped in" if self.swapped else "not swapped"
        sums = self.rebuilt if self.is_equal else f"{self.served} -> {self.rebuilt}"
        return f"{self.table}: {self.rows:,} rows at position {self.position:,}, {found} ({sums}), {done}."


def report(verdicts: Iterable[Verdict], *, show_content: bool = False) -> Iterator[str]:
    """Give the lines for an operator: one a table, then those of its rows that differ."""
    for verdict in verdicts:
        yield verdict.sentence()
        if found := verdict.differences:
            for each in found.of_rows:
                yield f"  {each.sentence(show_content=show_content)}"
            if found.are_more:
                yield f"  {verdict.table}: more rows differ than are listed here."


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _value(value: str | None, type_name: str, is_shown: bool) -> str:
    if value is None:
        return "null"
    if type_name != "text":
        return value
    if not is_shown:
        return f"{len(value):,} characters"
    return repr(value) if len(value) <= SHOWN_CHARS_MAX else f"{value[:SHOWN_CHARS_MAX]!r} and so on"
