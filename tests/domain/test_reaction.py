"""Reactions: what is an emoji, and what giving one decides."""

from uuid import UUID

import emoji as library
import pytest

from domain import reaction
from domain.bounds import EMOJI_CHARS_MAX
from domain.emojis import emoji_of, qualified
from domain.errors import EmojiUnknownError, TooManyReactionsError
from domain.ids import MessageId, RoomId, UserId
from domain.reaction import REACTIONS, ReactionAdded, ReactionRemoved
from tests.domain.test_decisions import given_facts

ADA, BEN = UserId(UUID(int=1)), UserId(UUID(int=2))
WHERE = {"room_id": RoomId(UUID(int=10)), "message_id": MessageId(UUID(int=20)), "posted_position": 7}
MANY = [each for each in qualified().values() if len(each) == 1]


def added(by: UserId, emoji: str, count: int) -> ReactionAdded:
    return ReactionAdded(WHERE["room_id"], WHERE["message_id"], by, emoji, count, 7)  # type: ignore[arg-type]


def removed(by: UserId, emoji: str, count: int) -> ReactionRemoved:
    return ReactionRemoved(WHERE["room_id"], WHERE["message_id"], by, emoji, count, 7)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["👍", "👍🏽", "🏳️‍🌈", "👩🏽‍💻", "#️⃣", "1️⃣", "🇨🇭", "🏴󠁧󠁢󠁷󠁬󠁳󠁿", "❤️‍🔥"])
def test_what_unicode_lists_is_an_emoji(text: str) -> None:
    assert emoji_of(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "1",
        "#",
        "👍👍",
        "👍 ",
        " 👍",
        ":+1:",
        "🏽",
        "\ufe0f",
        "\u200d",
        "🇨",
        "👍" * 1_000,
        "👍\u200d👍",
        "\ud800",
    ],
)
def test_nothing_else_is_one(text: str) -> None:
    with pytest.raises(EmojiUnknownError):
        emoji_of(text)


def test_however_a_keyboard_spells_it_an_emoji_is_one() -> None:
    assert emoji_of("❤") == emoji_of("❤️") == "❤️"
    assert emoji_of("🏳‍🌈") == "🏳️‍🌈"
    for each, about in library.EMOJI_DATA.items():
        if about["status"] != library.STATUS["component"]:
            assert emoji_of(each) in library.EMOJI_DATA
        assert len(each) <= EMOJI_CHARS_MAX


def test_reactions_are_counted_and_the_same_again_is_silence() -> None:
    state = given_facts(REACTIONS, added(ADA, "❤️", 1))
    assert reaction.add(state, **WHERE, by=ADA, emoji="❤") == ()  # type: ignore[arg-type]
    assert reaction.add(state, **WHERE, by=BEN, emoji="❤") == (added(BEN, "❤️", 2),)  # type: ignore[arg-type]
    assert reaction.add(state, **WHERE, by=BEN, emoji="🎉") == (added(BEN, "🎉", 1),)  # type: ignore[arg-type]
    assert reaction.remove(state, **WHERE, by=ADA, emoji="❤️") == (removed(ADA, "❤️", 0),)  # type: ignore[arg-type]
    assert reaction.remove(state, **WHERE, by=BEN, emoji="❤️") == ()  # type: ignore[arg-type]
    assert reaction.remove(None, **WHERE, by=BEN, emoji="❤️") == ()  # type: ignore[arg-type]
    state = given_facts(REACTIONS, added(ADA, "❤️", 1), removed(ADA, "❤️", 0))
    assert reaction.add(state, **WHERE, by=ADA, emoji="❤️") == (added(ADA, "❤️", 1),)  # type: ignore[arg-type]


def test_one_person_gives_twenty_and_a_message_gets_a_hundred_different_ones() -> None:
    state = given_facts(REACTIONS, *(added(ADA, each, 1) for each in MANY[:20]))
    assert reaction.add(state, **WHERE, by=ADA, emoji=MANY[0]) == ()  # type: ignore[arg-type]
    with pytest.raises(TooManyReactionsError):
        reaction.add(state, **WHERE, by=ADA, emoji=MANY[20])  # type: ignore[arg-type]
    people = [UserId(UUID(int=100 + n)) for n in range(5)]
    state = given_facts(REACTIONS, *(added(people[n // 20], MANY[n], 1) for n in range(100)))
    with pytest.raises(TooManyReactionsError):
        reaction.add(state, **WHERE, by=BEN, emoji=MANY[100])  # type: ignore[arg-type]
    assert reaction.add(state, **WHERE, by=BEN, emoji=MANY[99]) == (added(BEN, MANY[99], 2),)  # type: ignore[arg-type]
