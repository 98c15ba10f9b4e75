"""Verification: every event is hashed again, and the tree held against the tiles and against what was signed.

What was signed comes from the database, from the file of the notary and from witnesses; the signatures are judged under a
key that the caller has. Where the entries in the tiles are those that were signed, each altered event is named
(`workers/altered_events.py`); where the tiles were altered too, the checkpoints say between which positions it is.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from adapters.notary.rotation import KeyRetiredError, chain_of, verified_in
from adapters.postgres.event_entries import EventEntries, EventsHead
from adapters.postgres.tiles import TileStore
from domain.key_rotation import KeyChain
from domain.merkle import HASH_BYTES
from domain.tiles import WIDTH, GrowingTree, Tile, hashes_of
from domain.tree_head import NoteUnreadableError, TreeHead, VerifierKey, origin_of, read_note, read_tree_head
from workers.altered_events import Finding, Kind, Progress, located
from workers.record_rules import RecordRules
from workers.refolding import TILES_AT_ONCE, Folded, PlaceFile, Refolding

CHECKPOINTS_AT_ONCE = 1000


class NotJudgedError(Exception):
    """Nothing was signed, or not under this key: there is nothing to judge by."""


class Note(NamedTuple):
    """A signed note, and where it was found. `is_notarys`: in the notary's own folder, which whoever has its key has, too."""

    place: str
    note: str
    is_notarys: bool = False


class Judgement(NamedTuple):
    """`findings` is empty where the first `size` events are those that were signed; `unsigned` come after them."""

    findings: list[Finding]
    size: int
    unsigned: int


class Verification:
    """Verifies one record against what was signed of it."""

    def __init__(
        self,
        events: EventEntries,
        store: TileStore,
        key: VerifierKey,
        notes: Sequence[Note],
        progress: Progress,
        rules: RecordRules | None = None,
        place: PlaceFile | None = None,
    ) -> None:
        """`notes` are those from outside of the database. With `rules` the record is held against its own rules, too. With `place`
        hashing goes on where it was ended before."""
        self._events = events
        self._store = store
        self._key = key
        self._chain = KeyChain(((0, key),))
        self._notes = notes
        self._witnessed: list[TreeHead] = []  # by others than who signs
        self._progress = progress
        self._rules = rules
        self._place = place
        self._refolding = Refolding(events, store, key.name, progress)

    async def judge(self) -> Judgement:
        """Verify everything. Raise `NotJudgedError`."""
        findings: list[Finding] = []
        self._chain = chain_of(self._key, await self._events.rotations((await self._events.head()).position))
        signed = self._signed_outside(findings)
        stored = await self._stored(findings)
        if stored is not None:
            signed.append(("the database", stored))
        if not signed:
            if findings:
                return Judgement(findings, 0, 0)
            raise NotJudgedError("Nothing that was signed was found.")
        findings += contradictions(signed)
        head = await self._events.head()
        if origin_of(head.record) != self._key.name:
            findings.append(
                Finding(
                    "replaced", 1, f"the record has another id than {self._key.name}, of which checkpoints were signed"
                )
            )
        goal = max(tree_head.size for _, tree_head in signed)
        findings += await self._compare(signed, stored, min(goal, head.position))
        if self._rules is not None:
            known = {each.position for each in findings}
            broken = await self._rules.judge(min(goal, head.position), self._progress)
            findings += [each for each in broken if each.position not in known]
        if head.position < goal:
            findings.append(_cut(head, goal, stored))
        findings.sort(key=lambda each: each.position)
        if head.position < goal:
            findings += _unwitnessed(self._witnessed, head)
        if self._place is not None:
            self._place.forget()
        return Judgement(findings, goal, max(0, head.position - goal))

    def _signed_outside(self, findings: list[Finding]) -> list[tuple[str, TreeHead]]:
        found = []
        for place, note, is_notarys in self._notes:
            try:
                found.append((place, verified_in(note, self._chain)))
                if not is_notarys:
                    self._witnessed.append(found[-1][1])
            except KeyRetiredError as error:
                findings.append(_retired(place, note, error))
            except NoteUnreadableError as error:
                raise NotJudgedError(f"{place}: {error}") from None
        return found

    async def _stored(self, findings: list[Finding]) -> TreeHead | None:
        """Return the newest checkpoint of the database, if its signature is good; note it where it is none."""
        newest = await self._store.newest(self._key.name)
        if newest is None:
            if self._notes and not findings:
                findings.append(Finding("checkpoints", 1, "the database holds no checkpoint, and some were signed"))
            return None
        await self._find_retired(findings)
        try:
            head = verified_in(newest.note, self._chain)
        except KeyRetiredError:
            return None
        except NoteUnreadableError as error:
            findings.append(
                Finding("checkpoints", newest.size, f"the newest checkpoint of the database is forged: {error}")
            )
            return None
        return head

    async def _find_retired(self, findings: list[Finding]) -> None:
        """Note the first stored checkpoint that a key has signed which was not in force: only where keys were rotated."""
        after = self._chain.keys[1][0] - 1 if len(self._chain.keys) > 1 else None
        while after is not None and (
            page := await self._store.checkpoints(self._key.name, after=after, limit=CHECKPOINTS_AT_ONCE)
        ):
            for stored in page:
                try:
                    verified_in(stored.note, self._chain)
                except KeyRetiredError as error:
                    findings.append(_retired("the database", stored.note, error))
                    return
                except NoteUnreadableError:
                    continue
            after = page[-1].size

    async def _compare(
        self, signed: Sequence[tuple[str, TreeHead]], stored: TreeHead | None, until: int
    ) -> list[Finding]:
        """Hash all events up to a position, and say what is not as it was signed."""
        sizes = sorted({head.size for _, head in signed if head.size <= until})
        folded = await self._refolding.fold(sizes, until, min(until, 0 if stored is None else stored.size), self._place)
        bad = [(place, head) for place, head in signed if folded.roots.get(head.size, head.root) != head.root]
        if not bad:
            if folded.mismatches:
                return await self._tiles_altered(folded, signed, until)
            tile = folded.tile
            return (
                []
                if tile is None
                else [Finding("tiles", 1, f"the tile {tile.number} of level {tile.level} is altered")]
            )
        place, first_bad = min(bad, key=lambda each: each[1].size)
        entries = await self._signed_entries(first_bad)
        if entries is not None and folded.mismatches:
            return await located(self._events, entries, folded.mismatches, folded.differing, until)
        good = max((head.size for _, head in signed if head.size < first_bad.size), default=0)
        after, before = await self._narrowed(good, first_bad.size)
        said = (
            f"the events {after + 1} to {before} are not those that were signed (says {place}); tiles were altered too"
        )
        return [Finding("altered", after + 1, said, before)]

    async def _tiles_altered(self, folded: Folded, signed: Sequence[tuple[str, TreeHead]], until: int) -> list[Finding]:
        """Say what differs though every root is right: tiles, or what was cut off after the last root that could be compared."""
        whole = max((head.size for _, head in signed if head.size <= until), default=0)
        later = [position for position in folded.mismatches if position > whole]
        larger = [head for _, head in signed if head.size > until]
        if later and larger and (entries := await self._signed_entries(min(larger, key=lambda head: head.size))):
            return await located(self._events, entries, later, len(later), until)
        first = folded.mismatches[0]
        return [Finding("tiles", first, f"the entries that are kept in tiles are altered from position {first} on")]

    async def _signed_entries(self, head: TreeHead) -> Callable[[int], bytes] | None:
        """Return what the tiles say of positions, if they are those of this tree head; None where they are not."""
        tree, kept = GrowingTree(), bytearray()
        for start in range(0, head.size, TILES_AT_ONCE * WIDTH):
            end = min(head.size, start + TILES_AT_ONCE * WIDTH)
            tiles = await self._store.tiles([Tile(0, n) for n in range(start // WIDTH, -(-end // WIDTH))])
            hashes = b"".join(tiles[tile] for tile in sorted(tiles))[: (end - start) * HASH_BYTES]
            kept += hashes
            tree.extend(hashes_of(hashes))
        if (tree.size, tree.root()) != (head.size, head.root):
            return None
        return lambda position: bytes(kept[(position - 1) * HASH_BYTES : position * HASH_BYTES])

    async def _narrowed(self, good: int, bad: int) -> tuple[int, int]:
        """Return the two sizes between which the first alteration is, by all that the database holds of this key.

        A stored checkpoint that does not fit the events moves the end. One that fits them moves the beginning, unless none of
        them misses: then somebody who has the key has signed them anew, and they say nothing.
        """
        after = good
        while page := await self._store.checkpoints(self._key.name, after=after, limit=CHECKPOINTS_AT_ONCE):
            heads = {each.size: each.note for each in page if each.size < bad}
            if not heads:
                break
            folded = await self._refolding.fold(sorted(heads), max(heads), 0)
            for size, note in sorted(heads.items()):
                try:
                    head = verified_in(note, self._chain)
                except NoteUnreadableError:
                    continue
                if folded.roots[size] != head.root:
                    return after, size
                after = size
            after = max(heads)
        return good, bad


def contradictions(signed: Sequence[tuple[str, TreeHead]]) -> list[Finding]:
    """Return the trees that were signed twice, with two roots: by somebody who has the key."""
    found: dict[int, tuple[str, TreeHead]] = {}
    findings = []
    for place, head in signed:
        other, known = found.setdefault(head.size, (place, head))
        if known.root != head.root:
            said = f"{other} and {place} hold two different trees of {head.size} events, both signed: the key was used twice"
            findings.append(Finding("forked", 1, said, head.size))
    return findings


def _retired(place: str, note: str, error: KeyRetiredError) -> Finding:
    return Finding("retired key", read_tree_head(read_note(note)[0]).size, f"{place}: {error}")


def _unwitnessed(witnessed: Sequence[TreeHead], head: EventsHead) -> list[Finding]:
    """Return which events of a record that was cut nobody but the database and the notary vouches for."""
    whole = max((each.size for each in witnessed if each.size <= head.position), default=0)
    said = (
        "only the database and the notary's folder say that these are as they were signed: whoever cut it and has the key could have "
        "altered them"
    )
    return [Finding("unwitnessed", whole + 1, said, head.position)] if whole < head.position else []


def _cut(head: EventsHead, goal: int, stored: TreeHead | None) -> Finding:
    is_turned_back = stored is None or stored.size <= head.position
    kind: Kind = "rolled back" if is_turned_back else "truncated"
    return Finding(kind, head.position + 1, f"the record ends at {head.position}, and {goal} events were signed", goal)
