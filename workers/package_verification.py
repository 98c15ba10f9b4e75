"""Verifying a package, with no database: every event is hashed again and held against the signed checkpoints.

Of a whole record everything is found that is found of a live one. Of a part, each event is held against the tree by a proof of its
own: what is in the package was recorded like this; what is not in it, nobody can say.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import msgspec

from adapters.notary.key import NoteForgedError
from adapters.notary.package import Contents, Package, PackageUnreadableError
from adapters.notary.rotation import KeyRetiredError, chain_of, verified_in
from domain.key_rotation import KeyChain, KeyRotated, Rotation
from domain.leaf import EventRow, entry_of
from domain.merkle import HASH_BYTES, includes, leaf_hash
from domain.tiles import GrowingTree
from domain.tree_head import NoteUnreadableError, TreeHead, VerifierKey, read_note, read_tree_head
from workers.altered_events import NAMED_MAX, Finding, Progress, located
from workers.record_rules import Membership
from workers.verification import Judgement, Note, NotJudgedError, contradictions

KEPT_MAX = 1000
SAY_EVENTS = 5000


class _Rows:
    """Rows of a package that are looked at again."""

    def __init__(self) -> None:
        self.kept: dict[int, EventRow] = {}
        self.beyond: list[EventRow] = []

    async def rows(self, positions: Collection[int]) -> dict[int, EventRow]:
        return {position: self.kept[position] for position in positions if position in self.kept}

    async def rows_beyond(self, position: int, limit: int) -> list[EventRow]:
        return self.beyond[:limit]


class _Kept(NamedTuple):
    """The entries that were signed, as the package has them; which lines differ, the first of them; how many; and their rows."""

    wanted: bytes
    differing: list[int]
    differing_in_all: int
    rows: _Rows


class PackageVerification:
    """Verifies one package under a key that the caller has, and against notes from elsewhere."""

    def __init__(self, package: Package, key: VerifierKey, notes: Sequence[Note], progress: Progress) -> None:
        self._package = package
        self._contents: Contents = package.contents
        self._key = key
        inside = [self._contents.checkpoint, *self._contents.witnessed]
        self._notes = [*(Note("the package", note) for note in inside), *notes]
        self._progress = progress

    async def judge(self) -> Judgement:
        """Verify everything. Raise `NotJudgedError` or `PackageUnreadableError`."""
        if self._contents.origin != self._key.name:
            raise NotJudgedError(f"the package is of {self._contents.origin}, and the key is that of {self._key.name}")
        return await (self._whole() if self._contents.is_whole else self._part())

    async def _part(self) -> Judgement:
        """Hold each event against the tree of the package's checkpoint."""
        findings: list[Finding] = []
        signed = self._signed(chain_of(self._key, self._contents.rotations), findings)
        head = next((head for note, head in signed if note == self._contents.checkpoint), None)
        if head is None:
            raise NotJudgedError("the package's checkpoint bears no signature of this key")
        before, count = 0, 0
        for count, event in enumerate(self._package.events(), 1):
            position = event.row.position
            if not includes(leaf_hash(entry_of(event.row)), position - 1, head.size, event.proof, head.root):
                findings.append(
                    Finding("altered", position, f"this event ({event.row.topic}) is not the one that was signed")
                )
            elif position <= before:
                findings.append(Finding("reordered", position, f"this event stands after the one at {before}"))
            before = max(before, position)
            if not count % SAY_EVENTS:
                self._progress(count, count)
        findings += contradictions([(place, head) for place, head in self._places(signed)])
        return Judgement(_first(findings), count, 0)

    async def _whole(self) -> Judgement:
        """Hash all events, and hold their tree against everything that was signed."""
        sizes = {read_tree_head(read_note(note.note)[0]).size for note in self._readable()}
        tree, roots, rows = GrowingTree(), dict[int, bytes](), _Rows()
        wanted, members, rotations = self._package.entries(), Membership(), list[Rotation]()
        findings, mismatches, before, count = list[Finding](), list[int](), None, 0
        for event in self._package.events():
            row, place = event.row, tree.size + 1
            entry = entry_of(row)
            if row.topic.partition("@")[0] == KeyRotated.topic:
                rotations.append(Rotation(row.position, _note_of(row)))
            if (broken := members.see(row.position, row.topic, row.data)) is not None:
                findings.append(broken)
            if before is not None and row.recorded_at < before.recorded_at:
                findings.append(Finding("back-dated", row.position, "recorded before the event before it"))
            if wanted and wanted[(place - 1) * HASH_BYTES : place * HASH_BYTES] != entry:
                count += 1
                if len(mismatches) < KEPT_MAX:
                    mismatches.append(place)
            if len(mismatches) and len(rows.kept) < KEPT_MAX:
                rows.kept[place] = row._replace(position=place)
            tree.extend([entry])
            tree.take_changed()
            if tree.size in sizes:
                roots[tree.size] = tree.root()
            before = row
            if not tree.size % SAY_EVENTS:
                self._progress(tree.size, self._contents.size)
        return await self._compared(tree.size, roots, rotations, findings, _Kept(wanted, mismatches, count, rows))

    async def _compared(
        self,
        size: int,
        roots: dict[int, bytes],
        rotations: Sequence[Rotation],
        findings: list[Finding],
        kept: "_Kept",
    ) -> Judgement:
        """Hold the roots that the events make against what was signed, and say where they part."""
        signed = self._places(self._signed(chain_of(self._key, rotations), findings))
        if not signed:
            if findings:
                return Judgement(_first(findings), 0, 0)
            raise NotJudgedError("nothing in the package was signed by this key")
        findings += contradictions(signed)
        goal = max(head.size for _, head in signed)
        bad = [head for _, head in signed if roots.get(head.size, head.root) != head.root]
        if size < goal:
            findings.append(Finding("truncated", size + 1, f"the package ends at {size}, and {goal} were signed", goal))
        missed = sorted([*bad, *(head for _, head in signed if head.size > size)], key=lambda head: head.size)
        if missed and (bad or kept.differing):
            good = max((head.size for _, head in signed if head.size < missed[0].size), default=0)
            findings += await self._located(missed[0], good, kept)
        elif kept.differing:
            findings.append(Finding("tiles", kept.differing[0], "the entries that the package holds are altered"))
        known = {each.position for each in findings if each.kind not in ("no member", "back-dated")}
        findings = [
            each for each in findings if each.kind not in ("no member", "back-dated") or each.position not in known
        ]
        return Judgement(_first(findings), goal, max(0, size - goal))

    async def _located(self, head: TreeHead, good: int, kept: "_Kept") -> list[Finding]:
        wanted, tree = kept.wanted, GrowingTree()
        tree.extend(
            wanted[at : at + HASH_BYTES] for at in range(0, min(len(wanted), head.size * HASH_BYTES), HASH_BYTES)
        )
        if kept.differing and (tree.size, tree.root()) == (head.size, head.root):
            return await located(
                kept.rows,
                lambda at: wanted[(at - 1) * HASH_BYTES : at * HASH_BYTES],
                kept.differing,
                kept.differing_in_all,
                head.size,
            )
        said = f"the events {good + 1} to {head.size} are not those that were signed"
        return [Finding("altered", good + 1, said, head.size)]

    def _signed(self, chain: KeyChain, findings: list[Finding]) -> list[tuple[str, TreeHead]]:
        """Return what a key of the record has signed, by the note; note what a key has signed that was not in force."""
        found = []
        for place, note, _ in self._notes:
            try:
                found.append((note, verified_in(note, chain)))
            except KeyRetiredError as error:
                size = read_tree_head(read_note(note)[0]).size
                findings.append(Finding("retired key", size, f"{place}: {error}"))
            except NoteForgedError as error:
                findings.append(Finding("checkpoints", 1, f"{place}: {error}"))
            except NoteUnreadableError as error:
                raise NotJudgedError(f"{place}: {error}") from None
        return found

    def _places(self, signed: Sequence[tuple[str, TreeHead]]) -> list[tuple[str, TreeHead]]:
        places = {note.note: note.place for note in self._notes}
        return [(places[note], head) for note, head in signed]

    def _readable(self) -> list[Note]:
        try:
            for note in self._notes:
                read_tree_head(read_note(note.note)[0])
        except NoteUnreadableError as error:
            raise PackageUnreadableError(str(error)) from None
        return self._notes


def _note_of(row: EventRow) -> str:
    try:
        return str(msgspec.json.decode(row.data)["note"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        return ""


def _first(findings: list[Finding]) -> list[Finding]:
    """Return findings in order; of many the first."""
    return sorted(findings, key=lambda each: each.position)[: 4 * NAMED_MAX]
