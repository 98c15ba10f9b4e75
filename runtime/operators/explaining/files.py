"""What one is to a file: its uploader, a reader of a message that shows it, or nobody."""

from collections.abc import Mapping
from typing import get_args

from domain import authorization
from domain.account import Account
from domain.bounds import PAGE_ITEMS_MAX
from domain.file import File
from domain.ids import FileId
from domain.rights import FileRelationship, SeeingFile
from domain.room import ROOM
from projections import file_queries
from runtime.composition.process_context import ProcessContext
from runtime.operators.explaining.answer import Answer
from runtime.operators.explaining.rooms import in_room
from runtime.operators.explaining.streams import Read, actor_of, read, since_event

SEEING_A_FILE: Mapping[str, SeeingFile] = {each: each for each in get_args(SeeingFile)}


async def of_file(base: ProcessContext, answer: Answer, who: Account, operation: str, file: Read[File]) -> None:
    state = file.known
    answer.say(
        "file", f"{state.file_id}, {state.status}; {since_event(file.events[0])}{await actor_of(base, file.events[0])}"
    )
    relationship: FileRelationship = "uploader" if state.uploader_id == who.user_id else "nobody"
    if operation not in SEEING_A_FILE:
        answer.row("what one is to a file", operation, relationship, authorization.of_file("file.share", relationship))
        return
    seeing = SEEING_A_FILE[operation]
    if relationship == "nobody":
        relationship = await _reader(base, answer, who, seeing, FileId(state.file_id))
    answer.row("what one is to a file", operation, relationship, authorization.of_file(seeing, relationship))
    if answer.verdict is None and operation == "file.download" and state.status != "completed":
        answer.say("but", f"it is {state.status}: nobody downloads it before it is completed")


async def _reader(
    base: ProcessContext, answer: Answer, who: Account, operation: SeeingFile, file_id: FileId
) -> FileRelationship:
    """Look for a message that lets somebody see a file."""
    found = await file_queries.attachments(base.db, who.user_id, file_id, limit=PAGE_ITEMS_MAX)
    for showing in found:
        if showing.standing in authorization.standings(operation) and showing.is_within_history:
            answer.say("shown by", f"message {showing.message_id} of a room in which they may read it:")
            await in_room(base, answer, who, operation, await read(base, ROOM, showing.room_id))
            return "reader"
    answer.say("shown by", f"{len(found)} messages, none of which they may read")
    return "nobody"
