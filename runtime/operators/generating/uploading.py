"""Uploading: files are received, scanned and processed, and shown in messages; the worker's part is played too."""

from commands.file import FailFile, NoteProcessing, NoteScan, ReceiveFile, RetryFile
from commands.message import PostMessage
from domain.events import Caller
from domain.file import Variant
from domain.ids import FileId, MessageId
from domain.kinds import MessageType
from domain.processing import Reason
from runtime.operators.generating.acts import OPERATOR, Act, act, in_room, in_some_room, some_hash
from runtime.operators.generating.texts import text
from runtime.operators.generating.town import FileThere, Town

WORKER = Caller(agent="hansard worker")
FILES_WAITING_MAX = 40
KINDS = ("image/png", "image/jpeg", "application/pdf", "text/plain", "application/zip")
ENDS: tuple[Reason | None, ...] = (*(None,) * 18, "unreadable", "gave_up")


def upload(town: Town) -> Act | None:
    found = in_some_room(town)
    if found is None or len(town.received) + len(town.scanned) > FILES_WAITING_MAX:
        return None
    room, who = found
    chance = town.chance
    mime_type = chance.choice(KINDS)
    command = ReceiveFile(
        FileId(town.uuid()), f"{text(chance)[:30].strip()}.{mime_type.rpartition('/')[2]}", mime_type,
        chance.randrange(1_000, 5_000_000), some_hash(town), room.id if chance.random() < 0.5 else None,
    )  # fmt: skip
    return act(command, who.caller(), reads=in_room(who, room), writes=[("file", command.file_id)])


def scan(town: Town) -> Act | None:
    """Do the next step of a file that waits longest: scan it, process it, or try it again."""
    if town.scanned and town.chance.random() < 0.5:
        return _process(town, town.scanned[0])
    if town.given_up and town.chance.random() < 0.1:
        again = town.given_up[0]
        return act(RetryFile(again.id), OPERATOR, writes=[("file", again.id)])
    if not town.received:
        return None
    file = town.received[0]
    found = "Eicar-Test-Signature" if town.chance.random() < 0.01 else None
    return act(NoteScan(file.id, "clamav", found), WORKER, writes=[("file", file.id)])


def post_file(town: Town) -> Act | None:
    """Show a file, whether it has been processed yet or not."""
    waiting = [*town.ready, *list(town.received)[:1]]
    if not waiting:
        return None
    file = town.chance.choice(waiting)
    who = town.people[file.uploader]
    room = town.rooms[file.for_room] if file.for_room else town.some_room()
    if who.id not in room.roles or room.is_archived or not who.is_active:
        return None
    kind: MessageType = "image" if file.mime_type.startswith("image/") else "file"
    caption = text(town.chance) if town.chance.random() < 0.3 else ""
    command = PostMessage(room.id, MessageId(town.uuid()), caption, kind, file.id)
    return act(
        command, who.caller(), reads=in_room(who, room), writes=[("message", command.message_id), ("file", file.id)]
    )


def _process(town: Town, file: FileThere) -> Act:
    chance = town.chance
    reason = chance.choice(ENDS)
    if reason is not None:
        return act(FailFile(file.id, reason), WORKER, writes=[("file", file.id)])
    is_picture = file.mime_type.startswith("image/")
    small = Variant("thumbnail", 256, 192, "image/webp", chance.randrange(2_000, 20_000), some_hash(town))
    large = Variant("preview", 1280, 960, "image/webp", chance.randrange(20_000, 200_000), some_hash(town))
    whole = Variant("original", 2560, 1920, "image/webp", chance.randrange(100_000, 900_000), some_hash(town))
    variants, pages = ((small, large, whole), None) if is_picture else ((small, large), chance.randint(1, 90))
    return act(NoteProcessing(file.id, variants, pages), WORKER, writes=[("file", file.id)])
