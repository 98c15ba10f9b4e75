"""The tables of rights: whole, and what must hold of them whatever is added."""

from collections import Counter
from typing import get_args

import pytest

from domain import authorization, rights
from domain.authorization import in_room
from domain.errors import ConflictError, NotFoundError, UnauthenticatedError
from domain.rights import AS_WHOM, IN_ROOM, OF_FILE, OF_MEMBER, OF_MESSAGE, Relationship, RoomKind, RoomOperation

OPERATIONS: tuple[RoomOperation, ...] = get_args(RoomOperation)
KINDS: tuple[RoomKind, ...] = get_args(RoomKind)
# Written down once more on purpose: whoever widens a right has to say it twice.
WITHOUT_A_TOKEN = {
    "account.register", "account.verify_email", "deployment.read", "erasure.read", "mail.stop", "password.forget", "password.reset", "session.open",
    "session.refresh",
}  # fmt: skip
OF_A_STRANGER = {
    "file.download", "file.read", "file.status", "member.list", "message.list", "message.read", "message.versions",
    "pin.list", "reaction.list", "room.history", "room.join", "room.list", "room.read", "thread.list",
}  # fmt: skip
OF_A_MEMBER = OF_A_STRANGER | {
    "file.upload_for", "message.delete", "message.edit", "message.post", "reaction.add",
    "reaction.remove", "room.hear", "room.leave", "room.mark_read",
    "thread.follow", "thread.mark_read", "thread.unfollow",
}  # fmt: skip
OF_AN_ADMIN = OF_A_MEMBER | {
    "member.promote",
    "member.put",
    "member.remove",
    "mention.room",
    "message.pin",
    "message.unpin",
    "room.change",
}
IN_AN_ARCHIVED_ROOM = OF_A_STRANGER - {"room.join"} | {
    "room.hear", "room.leave", "room.mark_read", "thread.follow", "thread.mark_read", "thread.unfollow",
}  # fmt: skip


def allowed(kind: RoomKind, relationship: Relationship) -> set[str]:
    return {operation for operation in OPERATIONS if in_room(operation, kind, relationship) is None}


def test_every_operation_has_one_row() -> None:
    assert Counter(row.operation for row in IN_ROOM) == Counter(OPERATIONS)
    assert Counter(row.operation for row in OF_FILE) == Counter([*get_args(rights.SeeingFile), "file.share"])
    assert Counter(row.operation for row in OF_MESSAGE) == Counter(get_args(rights.MessageOperation))
    assert {(row.operation, row.by) for row in OF_MEMBER} == {
        (operation, by) for operation in get_args(rights.MemberOperation) for by in ("admin", "owner")
    }
    assert {row.operation for row in AS_WHOM} - {rights.EVERY_OTHER} <= set(get_args(rights.PersonalOperation))


def test_without_a_token_nothing_is_open_but_what_is_listed() -> None:
    every = {*get_args(rights.PersonalOperation), *OPERATIONS, "file.share", "an operation nobody thought of"}
    assert {operation for operation in every if authorization.is_public(operation)} == WITHOUT_A_TOKEN
    for operation in every - WITHOUT_A_TOKEN:
        for whom in ("nobody", "ended", "deactivated"):
            refusal = authorization.as_whom(operation, whom)
            assert refusal is not None and issubclass(refusal, UnauthenticatedError)


def test_a_private_room_is_not_there_for_those_who_are_not_in_it() -> None:
    for operation in OPERATIONS:
        unknown = in_room(operation, None, "stranger")
        assert unknown is authorization.unknown(operation) and issubclass(unknown, NotFoundError)
        for kind in ("private", "private archived"):
            for relationship in get_args(rights.Outside):
                assert in_room(operation, kind, relationship) is unknown


def test_each_role_may_what_the_lower_ones_may_and_no_more_than_is_written_here() -> None:
    for relationship in ("stranger", "left", "removed"):
        assert allowed("public", relationship) == OF_A_STRANGER
    for kind in ("public", "private"):
        assert allowed(kind, "banned") == set()
        assert allowed(kind, "member") == OF_A_MEMBER
        assert allowed(kind, "admin") == OF_AN_ADMIN
        assert allowed(kind, "owner") == OF_AN_ADMIN | {"room.archive"} == set(OPERATIONS)


def test_an_archived_room_can_be_read_and_left_and_nothing_else() -> None:
    for kind in ("archived", "private archived"):
        assert allowed(kind, "banned") == set()
        assert allowed(kind, "member") == allowed(kind, "admin") == IN_AN_ARCHIVED_ROOM
        assert allowed(kind, "owner") == IN_AN_ARCHIVED_ROOM | {"room.archive"}, "again changes nothing"
    for operation in set(OPERATIONS) - IN_AN_ARCHIVED_ROOM - {"room.archive"}:
        refusal = in_room(operation, "archived", "owner")
        assert refusal is not None and issubclass(refusal, ConflictError), "who may is told the state, not a right"


def test_who_left_and_who_was_removed_may_the_same_as_the_read_tables_cannot_tell_them_apart() -> None:
    assert all(row.left is row.removed for row in IN_ROOM)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_queries_are_told_what_commands_are(operation: RoomOperation) -> None:
    for kind in KINDS:
        for relationship in get_args(Relationship):
            at = authorization.standing(kind, relationship)
            verdict = in_room(operation, kind, relationship)
            assert (at in authorization.standings(operation)) is (verdict is None)
            if verdict is None:
                authorization.require_standing(operation, at)
                authorization.require_in_room(operation, kind, relationship)
            else:
                with pytest.raises(verdict):
                    authorization.require_standing(operation, at)
                with pytest.raises(verdict):
                    authorization.require_in_room(operation, kind, relationship)
    with pytest.raises(authorization.unknown(operation)):
        authorization.require_standing(operation, None)


def test_nobody_changes_the_words_of_another() -> None:
    for relationship in ("member", "admin", "owner"):
        assert authorization.of_message("message.edit", relationship, is_sender=False) is not None
        assert authorization.of_message("message.edit", relationship, is_sender=True) is None
    assert authorization.of_message("message.delete", "member", is_sender=False) is not None
