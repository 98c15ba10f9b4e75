"""Pages of a thread's replies as they were at a position: today's page, put back to what it was (`projections/past_message_queries.py`).

The oldest reply comes first, so what was posted later is at the end of a page, and its cost is that of the page.
"""

from domain.authorization import unknown
from domain.ids import MessageId
from domain.message import MESSAGE
from domain.ports.database import Db
from domain.ports.past import Past
from projections import past_message_queries, thread_pages
from projections.messages import MessageView
from projections.past_message_queries import Then


async def page(
    db: Db, past: Past, then: Then, thread_id: MessageId, *, after: int, limit: int, html: bool = False
) -> tuple[list[MessageView], bool]:
    """Return at most `limit` replies after a position, as they were, and whether there may be more; in order and bounds as
    `thread_pages.page`, as if the record ended there. Raise `DomainError` if this person may not read them today, or if
    there was no such root then."""
    rows, has_more = await thread_pages.page(db, then.viewer_id, thread_id, after=after, limit=limit, html=html)
    root = MESSAGE.id(thread_id)
    if root not in await past.last_until([root], then.position):
        raise unknown("thread.list")
    posted = [reply for reply in rows if reply.position <= then.position]
    texts = await past_message_queries.texts(past, then, posted)
    found = past_message_queries.fitting(texts)
    has_more = (has_more and len(posted) == len(rows)) or len(found) < len(texts)
    return await past_message_queries.complete(db, past, then, found), has_more
