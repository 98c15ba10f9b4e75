"""A release that raises the version of the live group: of each message it keeps how many words it has.

`python -m tests.projections.raised COMMAND` runs a command of that release, as `python -m runtime.cli COMMAND` does one of this.
Its migration is `MIGRATION`.
"""

import sys
from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

import projections
from domain.events import Recorded
from projections.messages import MESSAGES
from projections.tables import Change, Group, Handler, Projection, Table

MIGRATION = "ALTER TABLE read.messages ADD COLUMN words int NOT NULL DEFAULT 0"
SELECT_WRONG = """
    SELECT count(*) FROM read.messages
    WHERE words <> coalesce(array_length(regexp_split_to_array(nullif(trim(content), ''), '\\s+'), 1), 0)
"""
WITH_WORDS = Table(
    MESSAGES.name,
    key={name: MESSAGES.types[name] for name in MESSAGES.key},
    columns={**{name: MESSAGES.types[name] for name in MESSAGES.columns}, "words": "int"},
    kept=tuple(MESSAGES.kept),
)


def raised(group: Group) -> Group:
    """Return the live group as that release has it."""
    return group._replace(
        version=group.version + 1,
        projections=tuple(
            Projection(
                tuple(WITH_WORDS if table is MESSAGES else table for table in projection.tables),
                {event: _counting(handler) for event, handler in projection.handlers.items()},
            )
            for projection in group.projections
        ),
    )


def _counting(handler: Handler) -> Callable[[Recorded[Any]], Iterable[Change]]:
    def counted(recorded: Recorded[Any]) -> Iterable[Change]:
        for change in handler(recorded):
            if change.table is not MESSAGES:
                yield change
                continue
            content = change.values.get("content")
            words = {} if content is None else {"words": len(content.split())}
            yield replace(change, table=WITH_WORDS, values={**change.values, **words})

    return counted


def install() -> None:
    """Have this process be of that release. Nothing of `runtime` may have been imported before."""
    assert "runtime.cli" not in sys.modules
    live = raised(projections.LIVE)
    projections.LIVE = live
    projections.PROJECTIONS[live.name] = live


if __name__ == "__main__":
    install()
    from runtime.cli import main

    main()
