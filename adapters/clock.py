"""The clocks. Waiting and lapses go by the event loop's own, so that a simulation, whose loop owns the time, has both."""

import asyncio
from datetime import UTC, datetime


def now() -> datetime:
    """Return the time of day (UTC)."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Return the seconds of the running loop's clock, which never goes back."""
    return asyncio.get_running_loop().time()
