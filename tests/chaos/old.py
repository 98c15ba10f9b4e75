"""`python -m tests.chaos.old gateway`: a process of the release before, which does not know one topic and one kind of task.

It is this release without them: whatever else differs between two releases is the migrations' business.
"""

import sys

from domain import tasks, topics
from domain.room import RoomArchived

topics.TOPICS.pop(RoomArchived.topic)
tasks.Task = tasks.ScanFile | tasks.ProcessDocument  # type: ignore[assignment]  # nothing has read it yet

from runtime.cli import main  # noqa: E402  # only now: it reads both

if __name__ == "__main__":
    main(sys.argv[1:])
