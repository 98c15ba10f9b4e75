"""`hansard notary --rotate`: makes the notary's next key, and puts on the record what both keys have signed.

It runs beside the notary, as the user who owns its folder, with an operator's log-in: the notary's own may not write events. The
notary goes over to the next key with the first tree that holds this event. Begun twice, it is the same rotation.
"""

import asyncio

from adapters.notary.key import NotaryKeyError
from adapters.notary.keyring import Keyring
from adapters.notary.rotation import rotation_note
from commands.key_rotation import RotateNotaryKey
from domain.events import Caller
from domain.tree_head import origin_of
from runtime.composition.process_context import process_context
from runtime.loops import background
from runtime.settings import Settings

OPERATOR = Caller(agent="hansard command line")


async def rotate(settings: Settings) -> int:
    """Record the rotation; print the key that signs from then on. Raise `NotaryKeyError`."""
    async with (
        process_context(settings) as base,
        background(asyncio.create_task(base.record.run())),
    ):
        origin = origin_of(base.record_id)
        keyring = Keyring(settings.notary, origin)
        current = await asyncio.to_thread(keyring.current)
        if current is None:
            raise NotaryKeyError(f"There is no notary's key in {settings.notary}: nothing is to be rotated.")
        pending = await asyncio.to_thread(keyring.make_pending)
        note = rotation_note(current, pending)
        outcome = await base.command_bus.do(RotateNotaryKey(origin, note), OPERATOR)
    at = f"at position {outcome.position:,}" if outcome.events else "already"
    print(f"The rotation is recorded {at}. From the next checkpoint on the notary signs with this key: write it down.")
    print(pending.verifier)
    return 0
