"""Mentions: the names in a text as the ids of those whom they name now.

Nothing that is looked up guards the post: who was renamed or left just now was there half a minute before
(docs/decisions/0177).
"""

from functools import partial

from commands.room import Entered
from commands.unit_of_work import UnitOfWork
from domain.account import ACCOUNT, Account
from domain.authorization import in_room
from domain.block import BLOCKS, has_blocked
from domain.bounds import MENTION_ROOM_MEMBERS_MAX
from domain.ids import UserId
from domain.membership import MEMBERSHIP
from domain.mention import Mentions, MentionsRoom, names_in, spellings_of, whole_of
from domain.rights import Relationship


async def mentions_of(unit: UnitOfWork, entered: Entered, content: str, *, members: int | None) -> Mentions:
    """Return whom a text mentions: members who have not blocked who writes; all of them where that is allowed.

    `members`: how many are in the room, None if nobody counted them.
    """
    if "@" not in content:
        return Mentions()
    found: dict[UserId, None] = {}
    whole: MentionsRoom | None = None
    for name in names_in(content):
        found_whole = whole_of(name)
        if found_whole is not None:
            whole = "room" if "room" in (found_whole, whole) else found_whole
        elif (user_id := await _named(unit, entered, name)) is not None:
            found[user_id] = None
    return Mentions(tuple(found), whole if _may_mention_all(entered, members) else None)


def _may_mention_all(entered: Entered, members: int | None) -> bool:
    """In a small room everybody may who may post, and every direct room is one; in others only those whom the table of rights
    allows it."""
    is_small = bool(entered.room.direct) or (members is not None and members <= MENTION_ROOM_MEMBERS_MAX)
    relationship: Relationship = entered.member.relationship
    return is_small or in_room("mention.room", entered.room.kind, relationship) is None


async def _named(unit: UnitOfWork, entered: Entered, name: str) -> UserId | None:
    for spelling in spellings_of(name):
        account = await unit.claimed(ACCOUNT, "username", spelling, holds=partial(_is_called, spelling))
        if account is not None and account.is_active and account.user_id != entered.user_id:
            membership, blocks = await unit.glance_all(
                (MEMBERSHIP, (entered.room.room_id, account.user_id)), (BLOCKS, (account.user_id,))
            )
            is_member = membership is not None and membership.role is not None
            return account.user_id if is_member and not has_blocked(blocks, entered.user_id) else None
    return None


def _is_called(name: str, account: Account) -> bool:
    return spellings_of(account.username)[0] == name
