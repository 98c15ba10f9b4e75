"""`hansard notifications`: what people are to be told outside the chat, and which notices were given up, and why."""

import argparse

from adapters.clock import now
from adapters.postgres.outbox import Outbox
from gateway.http.pagination import PAGE_ITEMS_DEFAULT
from runtime.command import Command
from runtime.composition.process_context import process_context
from runtime.settings import Settings


async def run(settings: Settings, _: argparse.Namespace) -> int:
    """Print counts by channel and state, and the latest dead letters. Nobody's name is among it."""
    async with process_context(settings) as base:
        outbox = Outbox(base.db)
        counts = await outbox.counts()
        letters = await outbox.dead_letters(limit=PAGE_ITEMS_DEFAULT)
        waited = await outbox.oldest_seconds(now())
    for each in counts:
        print(f"{each.channel}: {each.count:,} {each.state}")
    for letter in letters:
        print(
            f"{letter.channel} {letter.target_id}: given up, {letter.reason} ({letter.kind} at position {letter.position}, "
            f"{letter.tries} tries, {letter.changed_at:%Y-%m-%d %H:%M:%S} UTC)"
        )
    if waited > 1:
        print(f"What is due has waited for {waited:,.0f} s.")
    if not counts:
        print("Nobody was told anything yet.")
    return 0


COMMAND = Command(run)
