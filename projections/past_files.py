"""Files as they were at a position: the events of their streams up to it, put through the handlers that fill the read tables.

So a file of the past is made of the very rule that today's is made of. Its stream has a few events, however old it is.
"""

from collections.abc import Collection
from typing import Any

from domain.events import Recorded
from domain.file import FILE, FileErased, FileExpired
from domain.ids import FileId
from domain.ports.past import Past
from projections import files
from projections.file_queries import FileRow, VariantRow, stored
from projections.files import FileView
from projections.message_pages import POSITION_MAX


async def views(past: Past, ids: Collection[FileId], position: int) -> dict[FileId, FileView]:
    """Return files by id, as they were; those that were not there yet are left out. Of one that has ended for good since nothing is told."""
    wanted = [FILE.id(file_id) for file_id in ids]
    streams = await past.all_until(wanted, position)
    newest = await past.last_until(wanted, POSITION_MAX)
    ended = {stream: [last] for stream, last in newest.items() if isinstance(last.event, (FileErased, FileExpired))}
    views = {
        file_id: _view([*streams[FILE.id(file_id)], *ended.get(FILE.id(file_id), [])])
        for file_id in ids
        if streams[FILE.id(file_id)]
    }
    return {file_id: view for file_id, view in views.items() if view is not None}


def _view(events: Collection[Recorded[Any]]) -> FileView | None:
    """Return the view of the rows that these events make."""
    file: dict[str, Any] = {}
    variants: dict[str, dict[str, Any]] = {}
    for recorded in events:
        handler = files.PROJECTION.handlers.get(type(recorded.event))
        for change in handler(recorded) if handler else ():
            if change.operation == "drop":
                variants.clear()
            elif change.table is files.VARIANTS:
                variants[str(change.key[-1])] = change.values
            else:
                file |= {"id": change.key[-1], **change.values}
    if not file:
        return None
    del file["version"]
    found = sorted(
        (VariantRow(name, **values) for name, values in variants.items()), key=lambda v: (v.width * v.height, v.name)
    )
    return stored([FileRow(**file, variant=variant) for variant in (*found, *(() if found else (None,)))]).view
