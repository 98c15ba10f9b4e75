"""Mentions: what they cost those who send (C1).

Sends are measured in turns, with and without a mention in every third text, so that what else the machine does meets both.
"""

import asyncio
import time
from statistics import median

from bench.deployment import Deployment
from bench.sockets import TEXT, Measured, Sender, people, room_of, settled

ROOMS, SECONDS, TURNS = 20, 4.0, 15


async def price(deployment: Deployment) -> Measured:
    """C1: durable sends a second where every third text mentions a member, to those of plain texts."""
    crowd = await people(deployment.base, 5)
    names = [(await person.me()).username for person in crowd]
    rooms = [await room_of(crowd[0], crowd[1:], f"C1-{i}") for i in range(ROOMS)]
    sending = [Sender(deployment, person, room, window=1) for room in rooms for person in crowd]
    texts = tuple(text for name in names for text in (TEXT, TEXT, f"@{name} {TEXT[len(name) + 2 :]}"))
    for sender in sending:
        await sender.open()
    rates: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(2 * TURNS):
        has_mentions = turn % 4 in (0, 3)  # on, off, off, on: what drifts meets both
        before, started = sum(sender.acknowledged for sender in sending), time.perf_counter()
        for sender in sending:
            sender.texts = texts if has_mentions else (TEXT,)
            sender.start()
        await asyncio.sleep(SECONDS)
        for sender in sending:
            sender.stop()
        rates[has_mentions].append(
            (sum(sender.acknowledged for sender in sending) - before) / (time.perf_counter() - started)
        )
        await settled(lambda: sum(sender.acknowledged for sender in sending))
    for sender in sending:
        sender.socket.close()
    pairs = sorted(a / b for a, b in zip(rates[True], rates[False], strict=True))
    on, off = median(rates[True]), median(rates[False])
    return Measured(
        f"C1 durable sends/s, a mention in every third, to plain (median of {TURNS} pairs)",
        f"{on:,.0f} : {off:,.0f}, × {median(pairs):.2f} ({pairs[0]:.2f}–{pairs[-1]:.2f})",
    )
