"""Times that people name. Those near the ends of the calendar cannot be had in another offset, nor moved by a moment, and no table
takes them: what was recorded with one would be read by nobody who follows the record."""

from datetime import UTC, datetime

from domain.errors import InvalidError

EARLIEST, LATEST = (
    datetime(1, 1, 4, tzinfo=UTC),
    datetime(9999, 12, 28, tzinfo=UTC),
)  # some days are left for quiet hours


def is_in_range(at: datetime) -> bool:
    """Return whether a time is far enough from the ends of the calendar, which are some days away in any offset."""
    return EARLIEST <= at <= LATEST


def require_in_range(at: datetime | None, *, pointer: str) -> None:
    """Raise `InvalidError` for a time that is too near to them."""
    if at is not None and not is_in_range(at):
        raise InvalidError("This time is out of range.", pointer=pointer)
