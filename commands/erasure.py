"""Erasure: asking for it, and the steps of the saga that does it (`workers/erasing.py`). No person decides those.

Each step may be done twice; what is erased stays as it is. Nothing of the room is asked: what was written in an archived room,
or before somebody was banned, is erased like everything else.
"""

from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from msgspec import Struct

from commands.approval import await_approval, require_approved
from commands.held import refuse_held
from commands.own_webhook import remove_webhook
from commands.session import end_all
from commands.thread_reply import write_deletion
from commands.unit_of_work import Handler, UnitOfWork
from domain import account as accounts
from domain import erasure as decide
from domain import file as files
from domain import message as messages
from domain import reaction as reactions
from domain.account import ACCOUNT, Account, require_right
from domain.approval import FourEyes
from domain.erasure import ERASURE
from domain.errors import WrongPasswordError
from domain.file import FILE
from domain.ids import FileId, MessageId, RoomId, UserId
from domain.lookalikes import skeletons
from domain.message import MESSAGE
from domain.pin import PINS, unpin
from domain.reaction import REACTIONS
from domain.text import fold, fold_email

MIDNIGHT_SPARE = timedelta(hours=1)  # an event near midnight may be sealed under the key of the day beside
MOMENT = timedelta(microseconds=1)  # a time with its own moment is [at, at + this)


class RequestErasure(Struct, frozen=True):
    """Erase a person. `seen_hash` is what their own password matched; None if somebody else asks, who needs the role for it, and,
    if `four_eyes` says so, another one's approval."""

    user_id: UserId
    erasure_id: UUID
    seen_hash: str | None = None
    four_eyes: FourEyes = FourEyes()


class BeginErasure(Struct, frozen=True):
    """Begin an erasure if it was approved of, or needs no approval. Raise `ApprovalNeededError` while it waits."""

    user_id: UserId


class CancelErasure(Struct, frozen=True):
    """Cancel an erasure that was not approved of."""

    user_id: UserId


class EraseMessage(Struct, frozen=True):
    message_id: MessageId


class EraseFile(Struct, frozen=True):
    file_id: FileId


class EraseReaction(Struct, frozen=True):
    user_id: UserId
    room_id: RoomId
    message_id: MessageId
    posted_position: int
    emoji: str
    at: datetime


class EraseAccount(Struct, frozen=True):
    user_id: UserId


class CondemnedKey(Struct, frozen=True):
    """A data key, and what it sealed: what was said in which rooms (None: in no room) within [since, until)."""

    key_id: UUID
    rooms: tuple[RoomId | None, ...]
    since: datetime
    until: datetime


class CondemnKeys(Struct, frozen=True):
    """They are destroyed right after this is recorded."""

    user_id: UserId
    keys: tuple[CondemnedKey, ...]


class HoldErasure(Struct, frozen=True):
    """Note which holds it waits for; none: it goes on."""

    user_id: UserId
    hold_ids: tuple[UUID, ...]


class CompleteErasure(Struct, frozen=True):
    """How many messages, files and reactions of the person there were, all erased."""

    user_id: UserId
    messages: int
    files: int
    reactions: int
    wrapping: int | None = None


def sealed_by(key_id: UUID, room_id: RoomId | None, day: date, shown: Collection[RoomId] = ()) -> CondemnedKey:
    """Return a key with what it sealed: what was said in its room that day; or what was in none, and files of that day, which
    messages show in these rooms."""
    began = datetime.combine(day, time(), UTC)
    rooms = (None, *sorted(shown)) if room_id is None else (room_id,)
    return CondemnedKey(key_id, rooms, began - MIDNIGHT_SPARE, began + timedelta(days=1) + MIDNIGHT_SPARE)


async def request(command: RequestErasure, unit: UnitOfWork) -> None:
    """Request it, and have the person's sessions, devices and webhook end at once: nobody acts as them any more. What needs an
    approval waits for it before."""
    user_id, by = command.user_id, unit.caller.user_id
    account, erasure = await unit.load_all((ACCOUNT, (user_id,)), (ERASURE, (user_id,)))
    if by is not None and by != user_id:
        require_right(await unit.load(ACCOUNT, by), "account.erase_other")
    account = accounts.require_known(account)
    if by == user_id and account.password_hash != command.seen_hash:
        raise WrongPasswordError
    waits = by != user_id and "erasure" in command.four_eyes.subjects
    events = decide.request(
        erasure, user_id=user_id, erasure_id=command.erasure_id, by=by, awaits_approval=waits
    )  # fmt: skip
    unit.write(ERASURE, user_id, events=events)
    if not events:
        return
    if waits:
        await await_approval(
            unit,
            "erasure",
            command.erasure_id,
            four_eyes=command.four_eyes,
            user_id=user_id,
            summary="Erase this person.",
        )
    else:
        await _end_all(unit, account)


async def begin(command: BeginErasure, unit: UnitOfWork) -> None:
    account, erasure = await unit.load_all((ACCOUNT, (command.user_id,)), (ERASURE, (command.user_id,)))
    events = decide.begin(erasure)
    if events:
        await require_approved(unit, "erasure", decide.require_open(erasure).erasure_id)
        unit.write(ERASURE, command.user_id, events=events)
        await _end_all(unit, accounts.require_known(account))


async def cancel(command: CancelErasure, unit: UnitOfWork) -> None:
    unit.write(ERASURE, command.user_id, events=decide.cancel(await unit.load(ERASURE, command.user_id)))


async def _end_all(unit: UnitOfWork, account: Account) -> None:
    unit.write(ACCOUNT, account.user_id, events=accounts.deactivate(account))
    await end_all(unit, account.user_id, reason="deactivated")
    await remove_webhook(unit, account.user_id)


async def erase_message(command: EraseMessage, unit: UnitOfWork) -> None:
    message = await unit.load(MESSAGE, command.message_id)
    events = messages.erase(message)
    if message is None or not events:
        return
    until = unit.folds[MESSAGE.id(command.message_id)].at or message.posted_at
    await refuse_held(unit, message.sender_id, [message.room_id], message.posted_at, until + MOMENT)
    unit.write(MESSAGE, command.message_id, events=events)
    if message.thread_id is not None:
        await write_deletion(unit, message)
    unpinned = unpin(
        await unit.load(PINS, message.room_id), room_id=message.room_id, message_id=command.message_id,
        posted_position=message.position, by=message.sender_id,
    )  # fmt: skip
    unit.write(PINS, message.room_id, events=unpinned)


async def erase_file(command: EraseFile, unit: UnitOfWork) -> None:
    file = await unit.load(FILE, command.file_id)
    events = files.erase(file)
    if file is not None and events:
        await refuse_held(unit, file.uploader_id, [None, *file.rooms], file.received_at, file.received_at + MOMENT)
    unit.write(FILE, command.file_id, events=events)


async def erase_reaction(command: EraseReaction, unit: UnitOfWork) -> None:
    await refuse_held(unit, command.user_id, [command.room_id], command.at, command.at + MOMENT)
    events = reactions.remove(
        await unit.load(REACTIONS, command.message_id), room_id=command.room_id, message_id=command.message_id,
        posted_position=command.posted_position, by=command.user_id, emoji=command.emoji,
    )  # fmt: skip
    unit.write(REACTIONS, command.message_id, events=events)


async def erase_account(command: EraseAccount, unit: UnitOfWork) -> None:
    """Erase the account itself; its e-mail and its name, with what looks like it, are free again."""
    user_id = command.user_id
    account = accounts.require_known(await unit.load(ACCOUNT, user_id))
    await refuse_held(unit, user_id, [None], None, None)
    stream = ACCOUNT.id(user_id)
    if account.email and await unit.owns_claim("email", fold_email(account.email), stream=stream):
        unit.release("email", fold_email(account.email))
    if account.username and await unit.owns_claim("username", fold(account.username), stream=stream):
        unit.release("username", fold(account.username))
    for form in skeletons(account.username) if account.username else ():
        if await unit.owns_claim("username_skeleton", form, stream=stream):
            unit.release("username_skeleton", form)
    unit.write(ACCOUNT, user_id, events=accounts.erase(account))


async def condemn(command: CondemnKeys, unit: UnitOfWork) -> None:
    erasure = await unit.load(ERASURE, command.user_id)
    for key in command.keys:
        await refuse_held(unit, command.user_id, key.rooms, key.since, key.until)
    key_ids = tuple(key.key_id for key in command.keys)
    unit.write(ERASURE, command.user_id, events=decide.condemn(erasure, key_ids=key_ids))


async def hold(command: HoldErasure, unit: UnitOfWork) -> None:
    erasure = await unit.load(ERASURE, command.user_id)
    unit.write(ERASURE, command.user_id, events=decide.hold(erasure, hold_ids=command.hold_ids))


async def complete(command: CompleteErasure, unit: UnitOfWork) -> None:
    events = decide.complete(
        await unit.load(ERASURE, command.user_id), messages=command.messages, files=command.files,
        reactions=command.reactions, wrapping=command.wrapping,
    )  # fmt: skip
    unit.write(ERASURE, command.user_id, events=events)


HANDLERS: dict[type[Struct], Handler] = {
    RequestErasure: request,
    BeginErasure: begin,
    CancelErasure: cancel,
    EraseMessage: erase_message,
    EraseFile: erase_file,
    EraseReaction: erase_reaction,
    EraseAccount: erase_account,
    CondemnKeys: condemn,
    HoldErasure: hold,
    CompleteErasure: complete,
}
