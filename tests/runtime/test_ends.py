"""How a process ends: its loops do, also those that did not hear it the first time."""

import asyncio

import pytest

from runtime.composition import background


async def test_a_loop_whose_cancellation_was_swallowed_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `asyncio.wait_for` swallows it when what it waits for ends at the same moment."""
    monkeypatch.setattr("runtime.composition.CANCEL_AGAIN_SECONDS", 0.05)
    swallowed = 0

    async def hard_of_hearing() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed > 2:
                    raise

    async with asyncio.timeout(5):
        async with background(asyncio.create_task(hard_of_hearing())):
            await asyncio.sleep(0)
    assert swallowed == 3
