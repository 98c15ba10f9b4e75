"""The package: all parts in order, what stands at its end, and the directory. Written in one pass, with flat memory.

At the end come, in this order: the Slack archive, the signed checkpoint and the keys, a page that says what this is, and the
manifest, which names each other member with its hash.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, NamedTuple

import msgspec
from msgspec.json import format as indented

from domain.export import ExportRequested
from domain.ids import RecordId, UserId
from domain.tree_head import origin_of
from workers.exports import slack
from workers.exports.archive import LIMIT_32, Fragment, Member, MemberWriter, ending, pieces
from workers.exports.conversation import Person, Room
from workers.exports.parts import Counts, Part

MANIFEST = "manifest.json"
SLACK = "slack-export.zip"
README = """This is an export of a Hansard record.

manifest.json     what was asked for, what is in here, and the SHA-256 of each member
checkpoint.txt    the signed tree over the record that the proofs lead to (C2SP tlog-checkpoint); keys.txt has the keys that sign
rooms/            each room, and who was in it from when to when
proofs/           each event of a message, as the record stores it, and the hashes that lead from it to that tree
files/            the attachments, under the message that shows them
jsonl/ csv/ eml/ rsmf/ slack-export.zip   what was said, in the formats that were asked for; a file for each room and day (UTC)

Verify it with nothing but Python: hansard_verify.py export PACKAGE --key KEY, with the record's key from somebody whom you trust.
"""


class About(NamedTuple):
    """What a package is of."""

    record: RecordId
    requested: ExportRequested
    checkpoint: str | None
    size: int
    keys: Sequence[str]
    at: datetime


class Package:
    """Writes a package. Every method blocks."""

    def __init__(self, file: BinaryIO, about: About) -> None:
        self._file = file
        self._about = about
        self._central, self._manifest = _file(), _file()
        self._members = 0

    def stretch(self, part: Part) -> None:
        """Write a part's stretch behind what is there."""
        base = self._file.tell()
        for piece in part.stretch(slack=False):
            self._file.write(piece)
        for member in part.members(slack=False):
            self._note(member, base)

    def slack_archive(self, parts: Sequence[Part], people: Iterator[Person]) -> None:
        """Write what Slack would give out, as a member."""
        large = sum(part.lengths.slack for part in parts) >= LIMIT_32 // 2
        fragment = Fragment(self._file)
        with fragment.member(SLACK, self._about.at, large=large) as writer, _file() as central, _file() as lists:
            count = 0
            for part in parts:
                base = writer.size
                for piece in part.stretch(slack=True):
                    writer.write(piece)
                for member in part.members(slack=True):
                    central.write(member.central(base))
                    count += 1
            base = writer.size
            for member in self._lists(Fragment(lists), parts, people):
                central.write(member.central(base))
                count += 1
            _copy(writer, lists)
            start, size = writer.size, central.tell()
            _copy(writer, central)
            writer.write(ending(count, start, size))
        self._note(fragment.members[0], 0)

    def finish(self, counts: Counts) -> None:
        """Write what stands at the end, and the directory."""
        at, about = self._about.at, self._about
        fragment = Fragment(self._file)
        if about.checkpoint is not None:
            fragment.add("checkpoint.txt", at, about.checkpoint.encode())
            fragment.add("keys.txt", at, "".join(f"{key}\n" for key in about.keys).encode())
        fragment.add("README.txt", at, README.encode())
        for member in fragment.members:
            self._note(member, 0)
        with fragment.member(MANIFEST, at) as writer:
            head = indented(msgspec.json.encode(self._head(counts), order="sorted"), indent=1)
            writer.write(head.rstrip(b"}\n ") + b',\n "members": [')
            _copy(writer, self._manifest)
            writer.write(b"\n ]\n}\n")
        self._central.write(fragment.members[-1].central(0))
        start, size = self._file.tell(), self._central.tell()
        self._central.seek(0)
        for piece in pieces(self._central):
            self._file.write(piece)
        self._file.write(ending(self._members + 1, start, size))
        self._file.close()
        self._central.close()
        self._manifest.close()

    def _head(self, counts: Counts) -> dict[str, Any]:
        about, asked = self._about, self._about.requested
        checkpoint = None
        if about.checkpoint is not None:
            checkpoint = {"size": about.size, "sha256": sha256(about.checkpoint.encode()).hexdigest()}
        return {
            "format": "hansard export v1", "record": about.record, "origin": origin_of(about.record),
            "range": {"after": asked.after, "until": asked.until},
            "filters": {"rooms": sorted(asked.rooms), "actors": sorted(asked.actors)},
            "formats": asked.formats,
            "policy": {"versions": "all", "deleted": "included", "erased": "marked", "attachments": "completed"},
            "counts": counts, "checkpoint": checkpoint,
        }  # fmt: skip

    def _lists(self, fragment: Fragment, parts: Sequence[Part], people: Iterator[Person]) -> list[Member]:
        at = self._about.at
        slack.array(fragment, "users.json", at, map(slack.user, people))
        for kind, name in slack.CHANNELS.items():
            rooms = (room for part in parts for room in part.rooms() if slack.kind_of(room) == kind)
            slack.array(fragment, name, at, map(slack.channel, rooms))
        return fragment.members

    def _note(self, member: Member, base: int) -> None:
        self._central.write(member.central(base))
        line = msgspec.json.encode({"path": member.name, "bytes": member.size, "sha256": member.sha256})
        self._manifest.write((b",\n  " if self._members else b"\n  ") + line)
        self._members += 1


def people_of(rooms: Iterator[Room]) -> set[UserId]:
    """Return whoever was ever in one of these rooms."""
    return {user_id for room in rooms for user_id in room.members}


def write_to(path: Path, about: About) -> Package:
    """Begin a package in a new file."""
    return Package(path.open("w+b"), about)


def _copy(writer: MemberWriter, source: BinaryIO) -> None:
    source.seek(0)
    writer.copy(source)


def _file() -> BinaryIO:
    return TemporaryFile()
