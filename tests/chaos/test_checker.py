"""The checker is tested itself: a good history reports nothing, a planted fault is reported as exactly what it is."""

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.chaos.checker import (
    KINDS,
    Admitted,
    Answered,
    Ended,
    Entry,
    Fact,
    History,
    Live,
    Sent,
    Subscribed,
    Told,
    check,
)
from tests.chaos.worlds import good

worlds = st.integers(0, 2**32 - 1).map(random.Random)
PLANTED_EXAMPLES = 30  # of each fault: the world is drawn from a seed, and nothing in it is rare
Plant = Callable[[History, random.Random], History]
E = TypeVar("E", Sent, Answered, Subscribed, Told, Live)


@given(worlds)
def test_a_good_history_reports_nothing(chance: random.Random) -> None:
    assert check(good(chance)) == []


def changed(history: History, entries: Sequence[Entry]) -> History:
    """Return the history with other entries, counted anew."""
    places = {entry.at: i for i, entry in enumerate(entries)}
    fresh: list[Entry] = [replace(entry, at=i) for i, entry in enumerate(entries)]
    fresh = [replace(entry, sent=places[entry.sent]) if isinstance(entry, Answered) else entry for entry in fresh]
    return replace(history, entries=fresh)


def some(chance: random.Random, found: Sequence[Entry]) -> int:
    """Choose an entry; answers its place. A world without one is passed over."""
    assume(found)
    return chance.choice(found).at


def the(kind: type[E], history: History, at: int) -> E:
    """Return the entry at a place, which is of this kind."""
    entry = history.entries[at]
    assert isinstance(entry, kind)
    return entry


def is_own_removal(history: History, told: Told) -> bool:
    return told.event == "member.removed" and told.subject == observer_of(history, told)


def observer_of(history: History, told: Told | Live) -> str:
    return subscription_of(history, told).observer


def subscription_of(history: History, told: Told | Live) -> Subscribed:
    return next(e for e in history.entries if isinstance(e, Subscribed) and e.number == told.number)


def tolds(history: History) -> list[Told]:
    """Return every frame of a room but those that end a feed."""
    return [e for e in history.entries if isinstance(e, Told) and not is_own_removal(history, e)]


def on(history: History, number: int) -> list[Told | Live]:
    return [e for e in history.entries if isinstance(e, (Told, Live)) and e.number == number]


def pairs(history: History) -> list[Told]:
    """Return the frames that are followed on their subscription by another frame, in a room heard in full."""
    found = []
    for told in tolds(history):
        feed = on(history, told.number)
        after = feed[feed.index(told) + 1 :]
        is_followed = after and isinstance(after[0], Told) and not is_own_removal(history, after[0])
        if is_followed and subscription_of(history, told).room == "shared":
            found.append(told)
    return found


def follower(history: History, told: Told) -> Told:
    feed = on(history, told.number)
    other = feed[feed.index(told) + 1]
    assert isinstance(other, Told)
    return other


def acknowledged(history: History) -> list[Answered]:
    return [e for e in history.entries if isinstance(e, Answered) and e.outcome == "acknowledged"]


def beyond(history: History) -> int:
    return max(recorded.position for recorded in history.record) + 10


# What is planted


def acknowledged_and_nowhere(history: History, chance: random.Random) -> History:
    at, position = len(history.entries), beyond(history)
    more: list[Entry] = [Sent(at, "ada", "shared", "gone", "text"), Answered(at + 1, at, "acknowledged", position)]
    return changed(history, [*history.entries, *more])


def one_observer_never_heard_the_end(history: History, chance: random.Random) -> History:
    """The last event of a room, and no `live` that vouches for it."""
    last = [recorded for recorded in history.record if recorded.room == "shared"][-1]
    numbers = {
        e.number for e in history.entries if isinstance(e, Subscribed) and e.room == "shared" and e.observer == "ada"
    }
    entries: list[Entry] = []
    for entry in history.entries:
        if isinstance(entry, Told) and entry.number in numbers and entry.position == last.position:
            continue
        if isinstance(entry, Live) and entry.number in numbers and entry.position >= last.position:
            entry = replace(entry, position=last.position - 1)
        if isinstance(entry, Subscribed) and entry.number in numbers and (entry.after or 0) >= last.position:
            entry = replace(entry, after=last.position - 1)
        entries.append(entry)
    return changed(history, entries)


def a_reset_for_no_reason(history: History, chance: random.Random) -> History:
    number = max(e.number for e in history.entries if isinstance(e, Subscribed))
    return changed(history, [*history.entries, Ended(0, number, "reset")])


def told_twice(history: History, chance: random.Random) -> History:
    at = some(chance, tolds(history))
    return changed(history, [*history.entries[: at + 1], *history.entries[at:]])


def told_what_one_holds(history: History, chance: random.Random) -> History:
    """A resume that begins too early: `after` is beyond what is told first."""
    firsts = [
        e for e in tolds(history) if on(history, e.number)[0] is e and subscription_of(history, e).after is not None
    ]
    told = the(Told, history, some(chance, firsts))
    asked = subscription_of(history, told)
    entries = list(history.entries)
    entries[asked.at] = replace(asked, after=told.position)
    return changed(history, entries)


def told_again_at_a_second_position(history: History, chance: random.Random) -> History:
    """Beyond everything the subscription was told or vouched for."""
    posted = [e for e in tolds(history) if e.event == "message.posted" and not e.deleted]
    at = some(chance, [e for e in posted if on(history, e.number)[-1] is e])
    told = the(Told, history, at)
    again = replace(told, position=beyond(history) + 5, prev=told.position)
    return changed(history, [*history.entries[: at + 1], again, *history.entries[at + 1 :]])


def acknowledged_at_two_positions(history: History, chance: random.Random) -> History:
    answer = the(Answered, history, some(chance, acknowledged(history)))
    sent, at = the(Sent, history, answer.sent), len(history.entries)
    return changed(
        history,
        [*history.entries, replace(sent, at=at), replace(answer, at=at + 1, sent=at, position=beyond(history))],
    )


def recorded_twice(history: History, chance: random.Random) -> History:
    posted = [recorded for recorded in history.record if recorded.event == "message.posted"]
    assume(posted)
    again = replace(chance.choice(posted), position=beyond(history))
    return replace(history, record=[*history.record, again], awaited=frozenset(), listed=None)


def two_told_in_each_others_place(history: History, chance: random.Random) -> History:
    """Positions as they should be, and what was said exchanged."""
    fine = [
        e
        for e in pairs(history)
        if e.event == follower(history, e).event == "message.posted"
        and not e.deleted
        and not follower(history, e).deleted
    ]
    one = the(Told, history, some(chance, fine))
    other = follower(history, one)
    entries = list(history.entries)
    entries[one.at] = replace(one, subject=other.subject, content=other.content)
    entries[other.at] = replace(other, subject=one.subject, content=one.content)
    return changed(history, entries)


def acknowledged_elsewhere(history: History, chance: random.Random) -> History:
    sent = the(Sent, history, the(Answered, history, some(chance, acknowledged(history))).sent)
    same = {e.at for e in history.entries if isinstance(e, Sent) and e.message_id == sent.message_id}
    return changed(
        history,
        [
            replace(e, position=e.position + 1)
            if isinstance(e, Answered) and e.sent in same and e.outcome == "acknowledged"
            else e
            for e in history.entries
        ],
    )


def one_left_out(history: History, chance: random.Random) -> History:
    """Neither the first nor the last of a subscription."""
    followed = pairs(history)
    places = {e.at for e in followed}
    at = some(chance, [other for e in followed if (other := follower(history, e)).at in places])
    return changed(history, [*history.entries[:at], *history.entries[at + 1 :]])


def left_out_before_live(history: History, chance: random.Random) -> History:
    """`live` vouches for what was not told, and then the line is cut."""
    lasts = []
    for told in tolds(history):
        feed, asked = on(history, told.number), subscription_of(history, told)
        is_last = len(feed) > 1 and feed[-2] is told and isinstance(feed[-1], Live)
        if is_last and asked.after is not None and asked.room == "shared":
            lasts.append(told)
    at = some(chance, lasts)
    return replace(changed(history, [*history.entries[:at], *history.entries[at + 1 :]]), awaited=frozenset())


def another_prev(history: History, chance: random.Random) -> History:
    told = the(Told, history, some(chance, tolds(history)))
    entries = list(history.entries)
    entries[told.at] = replace(told, prev=told.prev + 1)
    return changed(history, entries)


def one_told_late(history: History, chance: random.Random) -> History:
    one = the(Told, history, some(chance, pairs(history)))
    other = follower(history, one)
    entries = list(history.entries)
    entries[one.at], entries[other.at] = other, one
    return changed(history, entries)


def acknowledged_below_an_earlier_one(history: History, chance: random.Random) -> History:
    """In a room that nobody hears."""
    before = max((answer.position for answer in acknowledged(history)), default=0)
    assume(before)
    at, position = len(history.entries), before - 1
    more: list[Entry] = [Sent(at, "ada", "empty", "late", "text"), Answered(at + 1, at, "acknowledged", position)]
    record = [
        *history.record,
        Fact(1, "empty", "member.joined", "ada"),
        Fact(position, "empty", "message.posted", "late", "text", "ada"),
    ]
    return replace(changed(history, [*history.entries, *more]), record=record, listed=None)


def told_another_text(history: History, chance: random.Random) -> History:
    at = some(chance, [e for e in tolds(history) if e.event == "message.posted" and not e.deleted])
    entries = list(history.entries)
    entries[at] = replace(entries[at], content="never said")
    return changed(history, entries)


def told_a_tombstone_of_what_is_there(history: History, chance: random.Random) -> History:
    gone = {recorded.subject for recorded in history.record if recorded.event == "message.deleted"}
    at = some(chance, [e for e in tolds(history) if e.event == "message.posted" and e.subject not in gone])
    entries = list(history.entries)
    entries[at] = replace(entries[at], content="", deleted=True)
    return changed(history, entries)


def told_what_is_not_recorded(history: History, chance: random.Random) -> History:
    at = some(chance, [e for e in tolds(history) if on(history, e.number)[-1] is e])
    invented = replace(history.entries[at], position=beyond(history) + 5, subject="nothing", content="never said")
    return changed(history, [*history.entries[: at + 1], invented, *history.entries[at + 1 :]])


def refused_and_recorded(history: History, chance: random.Random) -> History:
    sent = the(Sent, history, the(Answered, history, some(chance, acknowledged(history))).sent)
    same = {e.at for e in history.entries if isinstance(e, Sent) and e.message_id == sent.message_id}
    return changed(
        history,
        [
            replace(e, outcome="refused", position=0) if isinstance(e, Answered) and e.sent in same else e
            for e in history.entries
        ],
    )


def recorded_and_never_sent(history: History, chance: random.Random) -> History:
    sent = the(Sent, history, the(Answered, history, some(chance, acknowledged(history))).sent)
    same = {e.at for e in history.entries if isinstance(e, Sent) and e.message_id == sent.message_id}
    return changed(
        history,
        [e for e in history.entries if e.at not in same and not (isinstance(e, Answered) and e.sent in same)],
    )


def pages_with_another_text(history: History, chance: random.Random) -> History:
    listed = list(history.listed or ())
    assume(listed)
    i = chance.randrange(len(listed))
    listed[i] = replace(listed[i], content="never said")
    return replace(history, listed=listed)


def pages_without_a_message(history: History, chance: random.Random) -> History:
    listed = list(history.listed or ())
    assume(listed)
    del listed[chance.randrange(len(listed))]
    return replace(history, listed=listed)


def live_before_what_it_vouches_for(history: History, chance: random.Random) -> History:
    fine: list[Live] = []
    for live in [e for e in history.entries if isinstance(e, Live)]:
        feed = on(history, live.number)
        after = feed[feed.index(live) + 1 :]
        if after and isinstance(after[0], Told) and not is_own_removal(history, after[0]):
            fine.append(live)
    early = the(Live, history, some(chance, fine))
    feed = on(history, early.number)
    entries = list(history.entries)
    entries[early.at] = replace(early, position=feed[feed.index(early) + 1].position)
    return changed(history, entries)


def told_after_ones_own_removal(history: History, chance: random.Random) -> History:
    ends = []
    for told in [e for e in history.entries if isinstance(e, Told) and is_own_removal(history, e)]:
        asked = subscription_of(history, told)
        later = [
            recorded for recorded in history.record if recorded.room == asked.room and recorded.position > told.position
        ]
        was_back = any(
            isinstance(e, Admitted)
            and (e.room, e.user) == (asked.room, asked.observer)
            and e.position > told.position
            and e.at < asked.at
            for e in history.entries
        )
        if later and not was_back and on(history, told.number)[-1] is told:
            ends.append((told, later[0]))
    assume(ends)
    told, recorded = chance.choice(ends)
    more = Told(0, told.number, recorded.position, told.position, recorded.event, recorded.subject, recorded.content)
    places = [e.at for e in history.entries if isinstance(e, (Told, Ended)) and e.number == told.number]
    return changed(history, [*history.entries[: places[-1] + 1], more, *history.entries[places[-1] + 1 :]])


def recorded_from_somebody_removed(history: History, chance: random.Random) -> History:
    """Sent, acknowledged and recorded, by somebody who never was in the room."""
    at, position = len(history.entries), beyond(history)
    more: list[Entry] = [Sent(at, "eve", "shared", "intruding", "text"), Answered(at + 1, at, "acknowledged", position)]
    record = [*history.record, Fact(position, "shared", "message.posted", "intruding", "text", "eve")]
    return replace(changed(history, [*history.entries, *more]), record=record, awaited=frozenset(), listed=None)


def test_a_lasting_feed_goes_on_for_who_was_brought_back_and_ends_for_who_was_not() -> None:
    record = [
        Fact(1, "room", "member.joined", "ada"),
        Fact(2, "room", "member.removed", "ada"),
        Fact(3, "room", "member.joined", "ada"),
    ]
    told: list[Entry] = [Told(i + 3, 1, i + 1, i, record[i].event, "ada") for i in range(3)]
    asked, back = Subscribed(0, "ada", 1, 1, "room", 0, lasts=True), Admitted(1, "room", "ada", 3)
    assert check(History([asked, back, *told], record)) == []
    late = [asked, *told[:2], replace(back, at=9), replace(told[2], at=10)]
    assert [finding.kind for finding in check(History(late, record))] == ["after-removal"]
    assert [f.kind for f in check(History([replace(asked, lasts=False), *late[1:]], record))] == ["after-removal"]


def recorded_in_a_room_that_ended(history: History, chance: random.Random) -> History:
    """By a member, who sent it and had it acknowledged."""
    at, position = len(history.entries), beyond(history)
    more: list[Entry] = [Sent(at, "ada", "ended", "late", "text"), Answered(at + 1, at, "acknowledged", position + 2)]
    record = [
        *history.record,
        Fact(position, "ended", "member.joined", "ada"),
        Fact(position + 1, "ended", "room.archived", "ended", "", "ada"),
        Fact(position + 2, "ended", "message.posted", "late", "text", "ada"),
    ]
    return replace(changed(history, [*history.entries, *more]), record=record, listed=None)


PLANTS: list[tuple[str, Plant]] = [
    ("lost", acknowledged_and_nowhere),
    ("lost", one_observer_never_heard_the_end),
    ("lost", a_reset_for_no_reason),
    ("lost", pages_without_a_message),
    ("duplicate", told_twice),
    ("duplicate", told_what_one_holds),
    ("duplicate", told_again_at_a_second_position),
    ("duplicate", acknowledged_at_two_positions),
    ("duplicate", recorded_twice),
    ("inconsistent", two_told_in_each_others_place),
    ("inconsistent", acknowledged_elsewhere),
    ("skipped", one_left_out),
    ("skipped", left_out_before_live),
    ("skipped", another_prev),
    ("non-monotonic", one_told_late),
    ("non-monotonic", acknowledged_below_an_earlier_one),
    ("phantom", told_another_text),
    ("phantom", told_a_tombstone_of_what_is_there),
    ("phantom", told_what_is_not_recorded),
    ("phantom", refused_and_recorded),
    ("phantom", recorded_and_never_sent),
    ("phantom", pages_with_another_text),
    ("stale-live", live_before_what_it_vouches_for),
    ("after-removal", told_after_ones_own_removal),
    ("after-removal", recorded_from_somebody_removed),
    ("after-end", recorded_in_a_room_that_ended),
]


def test_every_kind_is_planted() -> None:
    assert {kind for kind, _ in PLANTS} == set(KINDS)


@pytest.mark.parametrize(("kind", "plant"), PLANTS, ids=[plant.__name__ for _, plant in PLANTS])
@settings(max_examples=PLANTED_EXAMPLES)
@given(chance=worlds)
def test_a_planted_fault_is_reported_as_what_it_is(kind: str, plant: Plant, chance: random.Random) -> None:
    found = check(plant(good(chance), chance))
    assert {finding.kind for finding in found} == {kind}
    assert all(finding.evidence for finding in found)
