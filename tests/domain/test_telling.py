"""Who is told of a post, and as what: the table of docs/notifications.md, and a simple oracle over random facts."""

import re
import unicodedata
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ids import UserId
from domain.telling import Person, Post, has_word, kind_for, told, words_of

ADA, BEN, CYD = (UserId(UUID(int=n)) for n in (1, 2, 3))
PLAIN = Post(ADA, "we deploy today")


@pytest.mark.parametrize(
    ("post", "person", "kind"),
    [
        (PLAIN, Person(BEN), None),
        (PLAIN, Person(BEN, level="all"), "room"),
        (PLAIN, Person(BEN, keywords=("deploy",)), "keyword"),
        (PLAIN, Person(BEN, keywords=("ploy",)), None),
        (PLAIN, Person(BEN, follows=True), "thread"),
        (PLAIN, Person(BEN, follows=True, keywords=("deploy",), level="all"), "thread"),
        (Post(ADA, "", is_direct=True), Person(BEN), "direct"),
        (Post(ADA, "", is_direct=True), Person(BEN, level="none"), None),
        (Post(ADA, "", frozenset({BEN}), is_direct=True), Person(BEN), "mention"),
        (Post(ADA, "", frozenset({BEN})), Person(BEN, level="none"), None),
        (Post(ADA, "", frozenset({BEN})), Person(CYD), None),
        (Post(ADA, "", mentions_room="room"), Person(CYD), "mention"),
        (Post(ADA, "", mentions_room="here"), Person(CYD), "mention"),
        (Post(ADA, "", mentions_room="room"), Person(ADA, level="all"), None),
        (Post(ADA, "", mentions_room="room"), Person(CYD, is_member=False), None),
        (Post(ADA, "", frozenset({BEN})), Person(BEN, has_blocked=True), None),
        (Post(ADA, "", is_in_room=False), Person(BEN, level="all"), None),
        (Post(ADA, "", is_in_room=False), Person(BEN, level="all", follows=True), "thread"),
    ],
)
def test_the_table(post: Post, person: Person, kind: str | None) -> None:
    assert kind_for(post, person) == kind


@pytest.mark.parametrize(
    ("content", "keyword", "found"),
    [
        ("We DEPLOY.", "deploy", True),
        ("redeploy", "deploy", False),
        ("deployed", "deploy", False),
        ("deploy_it", "deploy", False),
        ("run `deploy` now", "deploy", False),
        ("run `deploy` and deploy", "deploy", True),
        ("```\ndeploy\n```", "deploy", False),
        ("Straße", "strasse", True),
        ("c++ is fine", "c++", True),
        ("abc++", "c++", False),
        ("the big day", "big day", True),
        ("", "x", False),
        ("ﬁre", "fire", True),
    ],
)
def test_keywords_are_whole_words_in_any_case_and_not_in_code(content: str, keyword: str, found: bool) -> None:
    assert has_word(words_of(content), keyword) is found


@given(st.text("ab _-+é"), st.text("ab+é", min_size=1))
def test_words_are_found_as_a_regular_expression_finds_them(words: str, keyword: str) -> None:
    words, keyword = unicodedata.normalize("NFKC", words), unicodedata.normalize("NFKC", keyword)
    before = r"(?<!\w)" if re.match(r"\w", keyword[0]) else ""
    after = r"(?!\w)" if re.match(r"\w", keyword[-1]) else ""
    assert has_word(words, keyword) == bool(re.search(before + re.escape(keyword) + after, words))


USERS = st.sampled_from([ADA, BEN, CYD])
POSTS = st.builds(
    Post,
    sender_id=USERS,
    words=st.sampled_from(["", "we deploy today", "redeploy"]),
    mentions=st.frozensets(USERS),
    mentions_room=st.sampled_from([None, "room", "here"]),
    is_direct=st.booleans(),
    is_in_room=st.booleans(),
)
PEOPLE = st.builds(
    Person,
    user_id=USERS,
    is_member=st.booleans(),
    has_blocked=st.booleans(),
    level=st.sampled_from(["all", "mentions", "none"]),
    keywords=st.sampled_from([(), ("deploy",), ("x", "today")]),
    follows=st.booleans(),
)


def oracle(post: Post, person: Person) -> str | None:
    """The rules once more, said the other way round: all reasons there are, and what takes them all away."""
    reasons = {
        "mention": person.user_id in post.mentions or bool(post.mentions_room),
        "direct": post.is_direct,
        "thread": person.follows,
        "keyword": bool(set(person.keywords) & set(post.words.split())),
        "room": person.level == "all" and post.is_in_room,
    }
    away = {person.user_id == post.sender_id, not person.is_member, person.has_blocked, person.level == "none"}
    return None if True in away else next((name for name, holds in reasons.items() if holds), None)


@given(POSTS, st.lists(PEOPLE, unique_by=lambda person: person.user_id))
def test_who_is_told_is_what_a_simple_oracle_says(post: Post, people: list[Person]) -> None:
    expected = {person.user_id: kind for person in people if (kind := oracle(post, person))}
    assert told(post, people) == expected
    assert told(post, reversed(people)) == expected, "nobody's being told depends on others"
