"""Looking through the record while it is dumped: every event is hashed and every topic counted, at the very moment of the dump."""

import sys

from msgspec import Struct

from adapters.postgres.event_entries import EventEntries
from adapters.postgres.record_moment import Moment, MomentHead
from adapters.postgres.record_topics import Counted, count_topics
from domain.ids import RecordId
from domain.tree_head import TreeHead, origin_of, read_note, read_tree_head
from runtime.operators.backups.manifest import BackupRefusedError
from runtime.operators.progress import ProgressShown
from workers.record_tree import EventMissingError, roots


class Seen(Struct, frozen=True):
    """What a moment shows of the record: its head and root, and the newest checkpoint with the root that the events have at
    its size."""

    head: MomentHead
    root: bytes
    checkpoint: str | None
    root_at_checkpoint: bytes
    topics: Counted

    @property
    def is_as_signed(self) -> bool:
        """Whether the events are those of the newest checkpoint; where nothing was signed, they are."""
        return self.checkpoint is None or tree_head(self.checkpoint).root == self.root_at_checkpoint


async def look(moment: Moment) -> Seen:
    """Hash and count everything. Raise `BackupRefusedError` if an event is missing."""
    head = await moment.head()
    checkpoint = await moment.checkpoint(origin_of(RecordId(head.record)), head.position)
    signed = 0 if checkpoint is None else tree_head(checkpoint).size
    try:
        shown = ProgressShown(sys.stderr)
        found = await roots(EventEntries(moment), {signed, head.position}, progress=shown, name="record")
    except EventMissingError as error:
        raise BackupRefusedError(
            f"There is no event at position {error.position}, and the record goes on to {head.position:,}: somebody took it "
            "away. 'hansard verify' says what else is not as it was signed; pg_dump still copies what there is."
        ) from None
    topics = Counted(0, ())
    async for counted in count_topics(moment, head.position):
        topics = counted
    return Seen(head, found[head.position], checkpoint, found[signed], topics)


def tree_head(note: str) -> TreeHead:
    """Return what a signed note says, without judging its signature."""
    return read_tree_head(read_note(note)[0])
