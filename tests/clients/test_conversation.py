"""The clients' conversation without a socket: what a user sees, whatever a wire makes of a correct server's frames.

Each test is of both libraries, the Python one and the JavaScript one, in Node and in Deno.
"""

import json
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any
from uuid import UUID

import pytest
from hansard_client.conversation import Begun, ComeBack, Conversation, Ended, Happening, Live, Replied, Told
from hansard_client.errors import RecordChanged, Refused
from hansard_client.models import Event, Notice
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.clients.javascript import NO_DENO, RUN, JavaScriptConversation, puppet

RECORD, OTHER = str(UUID(int=1)), str(UUID(int=2))
LOBBY, ATTIC, ME = str(UUID(int=11)), str(UUID(int=12)), str(UUID(int=21))
AT = "2026-11-24T20:05:00.123456Z"

tried: list[type[Conversation]] = []


@pytest.fixture(scope="module", params=["python", "node", "deno"], autouse=True)
def library(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.param == "deno" and "deno" not in RUN:
        pytest.skip(NO_DENO)
    command = RUN.get(request.param)
    with puppet(*command) if command else nullcontext():
        tried.append(JavaScriptConversation if command else Conversation)
        yield
        tried.clear()


def begun(user_id: str | None = None) -> Conversation:
    """A conversation of the library that is tried."""
    [kind] = tried
    return kind(user_id)


def frame(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields})


def event(
    position: int, prev: int | None, room_id: str | None = LOBBY, kind: str = "message.posted", **data: Any
) -> str:
    fields = {"event": kind, "position": position, "prev": prev, "room_id": room_id, "at": AT, "actor_id": ME}
    return frame("event", **fields, data=data)


def hello(record: str = RECORD) -> str:
    return frame("hello", connection="c", record=record, position=9, heartbeat_seconds=25, session_expires_in=900)


def refusal(number: int, code: str, status: int, **more: Any) -> str:
    error = {"code": code, "detail": "No.", "status": status, "retryable": status in (429, 503), **more}
    return frame("reply", id=number, ok=False, error=error)


def written(conversation: Conversation) -> list[dict[str, Any]]:
    return [json.loads(text) for text in conversation.outgoing()]


def heard(*rooms: tuple[str, int | None], user_id: str | None = ME) -> Conversation:
    """A conversation that hears rooms, up to the server's reply."""
    conversation = begun(user_id)
    for room_id, after in rooms:
        conversation.subscribe(room_id, after)
    conversation.receive(hello())
    (subscribe,) = written(conversation)
    assert conversation.receive(frame("reply", id=subscribe["id"], ok=True)) == [
        Begun(room_id, RECORD) for room_id, _ in rooms
    ]
    return conversation


def positions(happenings: list[Happening]) -> list[int]:
    return [happening.event.position for happening in happenings if isinstance(happening, Told)]


def test_all_rooms_are_subscribed_with_one_frame_from_what_is_held() -> None:
    conversation = heard((LOBBY, 4), (ATTIC, None))
    conversation.receive(event(7, 3))
    conversation.lost()
    assert written(conversation) == []
    conversation.receive(hello())
    (subscribe,) = written(conversation)
    assert subscribe == {
        "id": subscribe["id"], "type": "subscribe", "rooms": {LOBBY: 7, ATTIC: None}, "record": RECORD,
    }  # fmt: skip


def test_a_feed_from_now_on_resumes_from_where_it_began() -> None:
    conversation = heard((LOBBY, None))
    assert conversation.receive(frame("live", room_id=LOBBY, position=9)) == [Live(LOBBY, 9)]
    conversation.lost()
    conversation.receive(hello())
    assert written(conversation)[0]["rooms"] == {LOBBY: 9}


def test_a_position_that_is_held_is_a_duplicate() -> None:
    conversation = heard((LOBBY, 4))
    assert positions(conversation.receive(event(4, 3)) + conversation.receive(event(5, 4))) == [5]
    assert positions(conversation.receive(event(5, 4))) == []
    assert (conversation.duplicates, conversation.gaps) == (2, 0)


def test_a_gap_is_asked_for_again_and_what_comes_before_the_reply_is_passed_over() -> None:
    conversation = heard((LOBBY, 4), (ATTIC, 0))
    assert positions(conversation.receive(event(8, 6))) == []
    (again,) = written(conversation)
    assert (again["rooms"], conversation.gaps) == ({LOBBY: 4}, 1)
    assert positions(conversation.receive(event(9, 8))) == []
    assert positions(conversation.receive(event(5, 0, ATTIC))) == [5]
    conversation.receive(frame("reply", id=again["id"], ok=True))
    assert positions(conversation.receive(event(6, 3)) + conversation.receive(event(8, 6))) == [6, 8]
    assert conversation.gaps == 1


def test_an_event_lost_before_the_end_of_a_replay_is_missed_by_the_next_one() -> None:
    conversation = heard((LOBBY, 4))
    assert conversation.receive(frame("live", room_id=LOBBY, position=6)) == [Live(LOBBY, 6)]
    assert positions(conversation.receive(event(7, 6))) == []
    assert written(conversation)[0]["rooms"] == {LOBBY: 4}


def test_the_first_frame_after_a_stretch_that_may_not_be_seen_is_no_gap() -> None:
    conversation = heard((LOBBY, 4))
    assert positions(conversation.receive(event(50, 0)) + conversation.receive(event(53, 50))) == [50, 53]


def test_outstanding_requests_are_repeated_word_for_word_until_answered() -> None:
    conversation = begun()
    number = conversation.ask("send", room_id=LOBBY, message_id=ME, content="hëllo")
    assert written(conversation) == []
    conversation.receive(hello())
    first = written(conversation)
    assert first == [{"id": number, "type": "send", "room_id": LOBBY, "message_id": ME, "content": "hëllo"}]
    conversation.lost()
    conversation.receive(hello())
    assert written(conversation) == first
    (replied,) = conversation.receive(frame("reply", id=number, ok=True, position=7, message_id=ME, duplicate=True))
    assert isinstance(replied, Replied) and replied.reply["position"] == 7
    assert conversation.receive(frame("reply", id=number, ok=True, position=7)) == []
    conversation.lost()
    conversation.receive(hello())
    assert written(conversation) == []


def test_a_withdrawn_request_is_not_repeated() -> None:
    conversation = begun()
    conversation.withdraw(conversation.ask("read", room_id=LOBBY, position=4))
    conversation.receive(hello())
    assert written(conversation) == []


def test_a_frame_longer_than_the_server_takes_is_refused_here() -> None:
    conversation = begun()
    with pytest.raises(Refused, match=r"frame\.too_large"):
        conversation.ask("send", content="x" * 131_072)
    with pytest.raises(ValueError, match="surrogates"):
        conversation.ask("send", content="\ud800")
    conversation.receive(hello())
    assert written(conversation) == []


def test_a_room_of_another_record_ends_and_one_that_holds_nothing_goes_on() -> None:
    conversation = heard((LOBBY, 4), (ATTIC, None))
    conversation.lost()
    _, ended = conversation.receive(hello(OTHER))
    assert isinstance(ended, Ended) and isinstance(ended.error, RecordChanged) and ended.room_id == LOBBY
    assert written(conversation)[0]["rooms"] == {ATTIC: None}
    with pytest.raises(RecordChanged):
        conversation.subscribe(LOBBY, 4, RECORD)


def test_a_reset_ends_a_room() -> None:
    conversation = heard((LOBBY, 10**9))
    (ended,) = conversation.receive(frame("reset", room_id=LOBBY, reason="record_changed"))
    assert isinstance(ended, Ended) and isinstance(ended.error, RecordChanged)
    conversation.lost()
    conversation.receive(hello())
    assert written(conversation) == []


def test_rooms_that_are_refused_end_and_the_others_are_asked_for_again() -> None:
    conversation = heard((LOBBY, 4), (ATTIC, 6))
    conversation.lost()
    conversation.receive(hello())
    (subscribe,) = written(conversation)
    said = refusal(subscribe["id"], "room.not_found", 404, rooms={ATTIC: "room.not_found"})
    (ended,) = conversation.receive(said)
    assert isinstance(ended, Ended) and isinstance(ended.error, Refused)
    assert (ended.room_id, ended.reason, ended.error.code) == (ATTIC, "refused", "room.not_found")
    assert written(conversation)[0]["rooms"] == {LOBBY: 4}


@pytest.mark.parametrize("more", [{}, {"rooms": {}}, {"rooms": {str(UUID(int=99)): "room.not_found"}}])
def test_a_refusal_that_names_no_room_of_ours_is_of_all(more: dict[str, Any]) -> None:
    conversation = heard((LOBBY, 4), (ATTIC, 6))
    conversation.lost()
    conversation.receive(hello())
    (subscribe,) = written(conversation)
    ended = conversation.receive(refusal(subscribe["id"], "subscriptions.too_many", 409, **more))
    assert {one.room_id for one in ended if isinstance(one, Ended)} == {LOBBY, ATTIC}
    assert written(conversation) == []


def test_what_may_be_tried_again_is_tried_on_another_connection() -> None:
    conversation = begun()
    conversation.subscribe(LOBBY, 4)
    conversation.receive(hello())
    (subscribe,) = written(conversation)
    assert conversation.receive(refusal(subscribe["id"], "server.unavailable", 503)) == [ComeBack("No.")]
    conversation.lost()
    conversation.receive(hello())
    assert written(conversation)[0]["rooms"] == {LOBBY: 4}


@pytest.mark.parametrize(("kind", "reason"), [("member.removed", "removed"), ("member.left", "left")])
def test_a_membership_that_ended_ends_the_feed_with_its_reason(kind: str, reason: str) -> None:
    told = heard((LOBBY, 4))
    assert positions(told.receive(event(5, 4, kind=kind, user_id=ME))) == [5]
    assert told.receive(frame("unsubscribed", room_id=LOBBY, reason=reason)) == [Ended(LOBBY, reason, None)]
    # The same, where the connection was lost in between: the refusal to come means the same.
    cut = heard((LOBBY, 4))
    cut.receive(event(5, 4, kind=kind, user_id=ME))
    cut.lost()
    cut.receive(hello())
    (subscribe,) = written(cut)
    said = refusal(subscribe["id"], "room.not_a_member", 403, rooms={LOBBY: "room.not_a_member"})
    assert cut.receive(said) == [Ended(LOBBY, reason, None)]


def test_somebody_elses_removal_or_an_old_one_of_ones_own_ends_nothing() -> None:
    conversation = heard((LOBBY, 0))
    for told in (
        event(5, 0, kind="member.removed", user_id=ME),
        event(6, 5, kind="member.joined", user_id=ME),
        event(7, 6, kind="member.removed", user_id=str(UUID(int=22))),
    ):
        assert len(positions(conversation.receive(told))) == 1
    conversation.lost()
    conversation.receive(hello())
    (subscribe,) = written(conversation)
    (ended,) = conversation.receive(refusal(subscribe["id"], "room.not_found", 404, rooms={LOBBY: "room.not_found"}))
    assert isinstance(ended, Ended) and ended.reason == "refused"


def test_an_unsubscribed_room_is_heard_no_more() -> None:
    conversation = heard((LOBBY, 4))
    conversation.unsubscribe(LOBBY)
    assert written(conversation) == [{"type": "unsubscribe", "room_id": LOBBY}]
    assert conversation.receive(event(5, 4)) == []
    conversation.subscribe(LOBBY, 0)
    (first,) = written(conversation)
    assert conversation.receive(event(5, 4)) == [], "of the feed before"
    conversation.unsubscribe(LOBBY)
    conversation.subscribe(LOBBY, 2)
    _, second = written(conversation)
    assert conversation.receive(frame("reply", id=first["id"], ok=True)) == [], "of the subscription before"
    assert conversation.receive(frame("reply", id=second["id"], ok=True)) == [Begun(LOBBY, RECORD)]


def test_what_is_not_known_is_passed_on() -> None:
    conversation = heard((LOBBY, 4))
    (told,) = conversation.receive(event(5, 4, kind="room.painted", colour="red"))
    assert isinstance(told, Told) and told.event.data == {"colour": "red"} and told.event.message is None
    (own,) = conversation.receive(event(6, None, None, kind="profile.changed"))
    assert isinstance(own, Event) and own.room_id is None
    (notice,) = conversation.receive(frame("weather", sunny=True))
    assert isinstance(notice, Notice) and notice.frame["sunny"] is True
    for ignored in (
        frame("pong"),
        event(7, 6, ATTIC),
        frame("live", room_id=ATTIC, position=7),
        frame("reply", ok=True),
    ):
        assert conversation.receive(ignored) == []


# Whatever the wire does


class Server:
    """A correct server of two rooms and one listener: one record, and at most one connection at a time."""

    def __init__(self, since: int) -> None:
        self.since = since  # nobody may see the lobby before this position
        self.head = 0
        self.rooms: dict[str, list[int]] = {LOBBY: [], ATTIC: []}
        self.posts: dict[str, int] = {}
        self.feeds: dict[str, int] | None = None  # room → the position from which its next frame is
        self.down: list[str] = []

    def connect(self) -> None:
        self.feeds, self.down = {}, [hello()]

    def post(self, room_id: str) -> None:
        self.head += 1
        self.rooms[room_id].append(self.head)
        if self.feeds is not None and room_id in self.feeds and self.may_see(room_id, self.head):
            self._tell(room_id, [self.head])

    def may_see(self, room_id: str, position: int) -> bool:
        return room_id != LOBBY or position >= self.since

    def take(self, text: str) -> None:
        asked = json.loads(text)
        assert self.feeds is not None
        match asked["type"]:
            case "subscribe":
                self.down.append(frame("reply", id=asked["id"], ok=True))
                for room_id, after in asked["rooms"].items():
                    assert after is None or after <= self.head
                    self.feeds[room_id] = self.head if after is None else after
                    self._tell(room_id, [at for at in self.rooms[room_id] if at > self.feeds[room_id]])
                    self.down.append(frame("live", room_id=room_id, position=self.head))
            case "send":
                if is_new := asked["message_id"] not in self.posts:
                    self.post(asked["room_id"])
                    self.posts[asked["message_id"]] = self.head
                said = {"position": self.posts[asked["message_id"]], "duplicate": not is_new}
                self.down.append(frame("reply", id=asked["id"], ok=True, message_id=asked["message_id"], **said))

    def _tell(self, room_id: str, told: list[int]) -> None:
        seen = [0, *(at for at in self.rooms[room_id] if self.may_see(room_id, at))]
        for at in told:
            if self.may_see(room_id, at):
                self.down.append(event(at, seen[seen.index(at) - 1], room_id))


ACTIONS = st.one_of(
    st.tuples(st.sampled_from(["post", "post", "send"]), st.sampled_from([LOBBY, ATTIC])),
    st.tuples(st.sampled_from(["lose", "repeat", "swap"]), st.integers(0, 4)),
    st.tuples(st.sampled_from(["hear", "obey"]), st.integers(1, 4)),
    st.sampled_from([("flow", 0), ("flow", 0), ("cut", 0), ("connect", 0)]),
)


@settings(max_examples=400)
@given(
    history=st.lists(st.sampled_from([LOBBY, ATTIC]), max_size=8),
    after=st.integers(0, 8),
    since=st.integers(0, 10),
    actions=st.lists(ACTIONS, min_size=8, max_size=60),
)
def test_each_event_is_seen_once_in_order_without_a_gap_and_each_send_is_posted_once(
    history: list[str], after: int, since: int, actions: list[tuple[str, Any]]
) -> None:
    server, conversation = Server(since), begun()
    for room_id in history:
        server.post(room_id)
    after = min(after, server.head)
    conversation.subscribe(LOBBY, after)
    conversation.subscribe(ATTIC, 0)
    seen: dict[str, list[int]] = {LOBBY: [], ATTIC: []}
    up: list[str] = []
    answers: dict[int, int] = {}
    asked: dict[int, str] = {}

    def expected(room_id: str) -> list[int]:
        start = after if room_id == LOBBY else 0
        return [at for at in server.rooms[room_id] if at > start and server.may_see(room_id, at)]

    def hear(text: str) -> None:
        for happening in conversation.receive(text):
            match happening:
                case Told():
                    seen[happening.room_id].append(happening.event.position)
                    so_far = seen[happening.room_id]
                    assert so_far == expected(happening.room_id)[: len(so_far)]
                case Replied():
                    assert happening.number not in answers
                    answers[happening.number] = happening.reply["position"]
                case Ended() | ComeBack():
                    raise AssertionError(happening)
        up.extend(conversation.outgoing())

    def cut() -> None:
        server.feeds = None
        server.down.clear()
        up.clear()
        conversation.lost()

    def flow() -> None:
        while server.down or up:
            while server.down:
                hear(server.down.pop(0))
            while up:
                server.take(up.pop(0))

    server.connect()
    flow()
    for action, value in actions:
        down = server.down
        match action:
            case "post":
                server.post(value)
            case "send":
                message_id = str(UUID(int=1000 + len(asked)))
                asked[conversation.ask("send", room_id=value, message_id=message_id, content="x")] = message_id
                up.extend(conversation.outgoing())
            case "hear":
                for _ in range(min(value, len(down))):
                    hear(down.pop(0))
            case "obey":
                for _ in range(min(value, len(up))):
                    server.take(up.pop(0))
            case "flow":
                flow()
            case "lose" if value < len(down):
                del down[value]
            case "repeat" if value < len(down):
                down.insert(value, down[value])
            case "swap" if value + 1 < len(down):
                down[value], down[value + 1] = down[value + 1], down[value]
            case "cut":
                cut()
            case "connect":
                cut()
                server.connect()
    cut()
    server.connect()
    flow()
    assert seen == {room_id: expected(room_id) for room_id in (LOBBY, ATTIC)}
    assert answers == {number: server.posts[message_id] for number, message_id in asked.items()}
    assert len(set(answers.values())) == len(asked)
