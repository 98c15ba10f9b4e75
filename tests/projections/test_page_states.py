"""States of pages: whatever changes a row that a page shows changes the page's state; so does a table that was made anew."""

from typing import Any

import pytest

from projections import message_html, messages
from projections.tables import Projection, Table
from tests.projections.test_frames import FACTS

FLAGS = {"reacted", "pinned", "threaded"}


@pytest.mark.parametrize(
    ("projection", "table", "flags"),
    [(messages.PROJECTION, messages.MESSAGES, FLAGS), (message_html.PROJECTION, message_html.MESSAGE_HTML, set())],
    ids=["messages", "HTML"],
)
def test_whatever_changes_a_row_sets_its_version_or_nothing_but_flags(
    projection: Projection, table: Table, flags: set[str]
) -> None:
    handled, changed = set[Any](), 0
    for recorded in FACTS:
        handler = projection.handlers.get(type(recorded.event))
        if handler is None:
            continue
        handled.add(type(recorded.event))
        for change in handler(recorded):
            assert change.table is table and change.operation in ("new", "set"), recorded.event.topic
            if change.operation == "set":
                changed += 1
                assert "version" in change.values or set(change.values) <= flags, recorded.event.topic
    assert handled == set(projection.handlers), "every handler was looked at"
    assert changed >= 2
