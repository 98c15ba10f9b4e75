"""The notary: folds new events into the tree, and signs a checkpoint of it within a second.

It signs a tree only if it extends the last one that it signed, which it remembers outside the database too: its own tiles are
believed where they have the root that was signed, and made anew from the events where they have not. A record that ends
below what was signed, or is another one, is not signed, and the log says so until somebody has seen to it. Nothing that is
written to the record ever waits for it.
"""

import asyncio
import time
from operator import eq

import structlog

from adapters.notary.key import NotaryKey, verified
from adapters.notary.keyring import Keyring
from adapters.notary.memory import LastSigned
from adapters.notary.rotation import chain_of, verified_in
from adapters.postgres.event_entries import EventEntries
from adapters.postgres.standby import Standby
from adapters.postgres.tiles import TileStore
from domain.key_rotation import KeyChain
from domain.merkle import EMPTY_ROOT, HASH_BYTES
from domain.ports.record import RecordReplacedError, RecordUnavailableError
from domain.tiles import WIDTH, GrowingTree, edge_of, width_of
from domain.tree_head import NoteUnreadableError, TreeHead, origin_of

SIGN_SECONDS = 0.5  # what was recorded meanwhile shares a signature
REFUSED_SECONDS = 30.0
LOGGED_SECONDS = 60.0  # a log is another place that holds checkpoints: one a minute
STEP_EVENTS_MAX = 1_000_000  # are signed together, while it catches up

log = structlog.get_logger()


class RecordContradictsError(Exception):
    """The record is not what was signed, or does not extend it; the sentence says how."""


class Notary:
    """Signs one record. `step()` folds and signs once, `run()` repeats it."""

    def __init__(
        self,
        events: EventEntries,
        store: TileStore,
        key: NotaryKey,
        memory: LastSigned,
        keyring: Keyring | None = None,
        standby: Standby | None = None,
    ) -> None:
        """Without a keyring its key is never rotated; with `standby` it signs what a synchronous standby has."""
        self._events = events
        self._store = store
        self._key = key
        self._memory = memory
        self._keyring = keyring
        self._standby = standby
        self._origin = key.verifier.name
        self._tree: GrowingTree | None = None
        self._last_entry = b""
        self.signed: TreeHead | None = None
        self.signed_at = self._logged_at = 0.0
        self.behind = 0
        self.waiting = 0
        self.is_refusing = False

    async def begin(self) -> None:
        """Take up the tree where it was left. Raise `RecordContradictsError` where the record is not what was signed."""
        self._tree, self._last_entry = None, b""
        chain = chain_of(self._key.verifier, await self._events.rotations((await self._events.head()).position))
        signed = await asyncio.to_thread(self._remembered, chain)
        if signed is None and await self._has_signed():
            raise RecordContradictsError(
                "The database holds checkpoints of this record, and the file of the last one that was signed is gone: put "
                "it back, or accept the record as it is ('hansard notary --accept')."
            )
        goal = TreeHead(self._origin, 0, EMPTY_ROOT) if signed is None else signed
        tree = await self._stored(goal.size) or GrowingTree()
        if not await self._reaches(tree, goal):
            log.warning("tiles are made anew: they are not those that were signed", size=goal.size)
            tree = GrowingTree()
            if not await self._reaches(tree, goal):
                raise RecordContradictsError(
                    f"The first {goal.size} events are not those that were signed: 'hansard verify' says where."
                )
        self._tree, self.signed = tree, signed

    async def step(self) -> TreeHead | None:
        """Fold what is new and sign it; return what was signed, None where there was nothing.

        Raise `RecordContradictsError` where the record does not extend what was signed, `RecordReplacedError` where it has
        another id.
        """
        if self._tree is None:
            await self.begin()
        tree = self._tree
        assert tree is not None, "it has begun"
        head = await self._events.head()
        if origin_of(head.record) != self._origin:
            raise RecordReplacedError(f"The record is {head.record} now: the notary begins anew.")
        if head.position < tree.size:
            raise self._contradiction(f"The record ends at {head.position}, and {tree.size} events were signed.")
        position = head.position if self._standby is None else await self._standby.has(head.position)
        self.waiting = head.position - max(position, tree.size)
        self.behind = max(0, position - tree.size)
        if not self.behind:
            return None
        if tree.size and await self._entry_at(tree.size) != self._last_entry:
            raise self._contradiction(f"The event at {tree.size} is not the one that was signed.")
        until = min(position, tree.size + STEP_EVENTS_MAX)
        await self._take_key_of(until)
        await self._fold(tree, until)
        self.behind = position - tree.size
        return await self._sign(tree)

    async def run(self) -> None:
        """Sign for ever. It asks how far the record is: to be told of each commit would cost more than all the hashing."""
        while True:
            await asyncio.sleep(await self._attempt())

    async def _attempt(self) -> float:
        """Make a step; return how long to rest after it."""
        try:
            await self.step()
            self.is_refusing = False
        except RecordUnavailableError:
            self._tree, self.behind = None, 0
        except RecordContradictsError as error:
            self.behind, self.is_refusing = 0, True
            log.error("the notary does not sign", because=str(error))
            return REFUSED_SECONDS
        return 0.0 if self.behind else SIGN_SECONDS

    async def _take_key_of(self, size: int) -> None:
        """Go over to the next key, where the record says so. Raise `RecordContradictsError` where that one is not here."""
        chain = chain_of(self._key.verifier, await self._events.rotations(size))
        due = chain.at(size)
        if due == self._key.verifier:
            return
        pending = None if self._keyring is None else await asyncio.to_thread(self._keyring.pending)
        if self._keyring is None or pending is None or pending.verifier != due:
            raise self._contradiction(
                f"The record says that {due} signs now, and the notary's folder does not hold it."
            )
        await self._store.tell_key(str(due), self._origin)
        await asyncio.to_thread(self._keyring.promote)
        log.info("another key signs from now on: write it down", key=str(due), before=str(self._key.verifier))
        self._key = pending

    def _remembered(self, chain: KeyChain) -> TreeHead | None:
        note = self._memory.read()
        if note is None:
            return None
        try:
            return verified_in(note, chain)
        except NoteUnreadableError as error:
            raise RecordContradictsError(
                f"What was signed last was of another record, or under another key ({error}). If the record was replaced on "
                "purpose (restored, imported), accept it: 'hansard notary --accept'."
            ) from None

    async def _has_signed(self) -> bool:
        """Return whether the database holds a checkpoint under this key."""
        newest = await self._store.newest(self._origin)
        try:
            return newest is not None and bool(verified(newest.note, self._key.verifier))
        except NoteUnreadableError:
            return False

    async def _stored(self, size_max: int) -> GrowingTree | None:
        """Return the tree of the tiles, up to before the last that ends with what was told last; None where some are missing.

        What is in that last tile is folded again, so that the newest events are held against what was signed at each start.
        """
        newest = await self._store.newest(self._origin)
        size = 0 if newest is None else max(0, min(newest.size, size_max) - 1) // WIDTH * WIDTH
        edge = await self._store.tiles(edge_of(size))
        try:
            return GrowingTree.of(size, {t: h[: width_of(t, size) * HASH_BYTES] for t, h in edge.items()})
        except ValueError:
            return None

    async def _reaches(self, tree: GrowingTree, goal: TreeHead) -> bool:
        """Fold up to what was signed; return whether it has that root. Raise `RecordContradictsError` where there is less."""
        if tree.size < goal.size:
            await self._fold(tree, goal.size)
            await self._store.write_tiles(tree.take_changed())
        return tree.root() == goal.root

    async def _fold(self, tree: GrowingTree, until: int) -> None:
        """Append the events up to a position, and write tiles before they are many."""
        while tree.size < until:
            found = await self._events.after(tree.size, until=until)
            following = list(range(tree.size + 1, tree.size + 1 + len(found.positions)))
            if found.positions != following or not following:
                whole = sum(map(eq, found.positions, following))
                raise self._contradiction(f"An event is missing after position {tree.size + whole}.")
            tree.extend(found.entries)
            self._last_entry = found.entries[-1]
            if tree.size < until:
                await self._store.write_tiles(tree.take_changed())

    async def _sign(self, tree: GrowingTree) -> TreeHead:
        """Sign the tree: remember it first, and tell it then."""
        head = TreeHead(self._origin, tree.size, tree.root())
        note = self._key.sign(head.size, head.root)
        await asyncio.to_thread(self._memory.write, note)
        await self._store.save(tree.take_changed(), self._origin, head.size, note)
        self.signed, self.signed_at = head, time.time()
        if self.signed_at - self._logged_at >= LOGGED_SECONDS:
            self._logged_at = self.signed_at
            log.info("checkpoint signed", size=head.size, root=head.root.hex(), checkpoint=note)
        return head

    async def _entry_at(self, position: int) -> bytes:
        """Return the entry of the event at a position; b"" where there is none."""
        found = await self._events.after(position - 1, until=position)
        return found.entries[0] if found.entries else b""

    def _contradiction(self, sentence: str) -> RecordContradictsError:
        """Have the next step begin anew, from what was signed."""
        self._tree = None
        return RecordContradictsError(sentence)
