"""The next task of a file is a function of the file: the queue may forget."""

from uuid import UUID

import pytest

from domain.file_snapshot import FileStatus
from domain.ids import FileId, UserId
from domain.tasks import ProcessDocument, ProcessImage, ScanFile, Task, next_task

FILE, ADA = FileId(UUID(int=30)), UserId(UUID(int=1))


@pytest.mark.parametrize(
    ("status", "mime_type", "task"),
    [
        ("pending", "image/png", ScanFile(FILE, ADA)),
        ("pending", "text/plain", ScanFile(FILE, ADA)),
        ("processing", "image/png", ProcessImage(FILE, ADA)),
        ("processing", "application/pdf", ProcessDocument(FILE, ADA)),
        ("processing", "text/plain", None),
        ("completed", "image/png", None),
        ("failed", "image/png", None),
    ],
)
def test_what_is_next_follows_from_status_and_type(status: FileStatus, mime_type: str, task: Task | None) -> None:
    assert next_task(FILE, ADA, status, mime_type) == task
