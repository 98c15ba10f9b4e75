"""ZIP archives (APPNOTE.TXT 6.3.10) that are made in stretches: what is finished is kept, and the directory is written last.

A fragment is members one behind the other, with its directory beside it. An archive is all fragments, then the directory: so
whoever goes on after a crash adds to what is there. Members are stored, not compressed: the same content gives the same bytes
with whatever version of zlib (docs/decisions/0210). Their times are of the record, in UTC.
"""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from typing import BinaryIO

from msgspec import Struct

LIMIT_32 = 0xFFFF_FFFF
LIMIT_16 = 0xFFFF
UTF_8 = 0x0800
STORED = 0
MADE_ON_UNIX = 3 << 8
READABLE = 0o100644 << 16
EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)
PIECE_BYTES = 1 << 20

LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL = struct.Struct("<4s6H3L5H2L")
END_64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR_64 = struct.Struct("<4sLQL")
END = struct.Struct("<4s4H2LH")


class Member(Struct, frozen=True, array_like=True):
    """A member of a fragment; `offset` is within the fragment, `at` the time that it bears. `is_large`: it may have 4 GiB or
    more."""

    name: str
    size: int
    crc: int
    sha256: str
    offset: int
    at: datetime
    is_large: bool = False

    def local(self) -> bytes:
        """Return its header; the sizes of what is large are in an extra field (4.5.3)."""
        extra = struct.pack("<2H2Q", 1, 16, self.size, self.size) if self.is_large else b""
        size, name = LIMIT_32 if self.is_large else self.size, self.name.encode()
        return LOCAL.pack(
            b"PK\3\4", _needs(extra), UTF_8, STORED, *_dos(self.at), self.crc, size, size, len(name), len(extra)
        ) + name + extra  # fmt: skip

    def central(self, base: int) -> bytes:
        """Return its line in the directory of an archive in which its fragment begins at `base`."""
        offset, wide = base + self.offset, []
        if self.is_large:
            wide += [self.size, self.size]
        if offset >= LIMIT_32:
            wide.append(offset)
        extra = struct.pack(f"<2H{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
        size, name, needs = LIMIT_32 if self.is_large else self.size, self.name.encode(), _needs(extra)
        return CENTRAL.pack(
            b"PK\1\2", MADE_ON_UNIX | needs, needs, UTF_8, STORED, *_dos(self.at), self.crc, size, size, len(name), len(extra),
            0, 0, 0, READABLE, min(offset, LIMIT_32),
        ) + name + extra  # fmt: skip


class Fragment:
    """Members that are written to a file one after the other."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.members: list[Member] = []

    @property
    def size(self) -> int:
        return self.file.tell()

    @contextmanager
    def member(self, name: str, at: datetime, *, large: bool = False) -> Iterator["MemberWriter"]:
        """Write a member within the block. `large`: it may have 4 GiB or more."""
        offset = self.file.tell()
        self.file.write(Member(name, 0, 0, "", offset, at, large).local())
        writer = MemberWriter(self.file)
        yield writer
        member = Member(name, writer.size, writer.crc, writer.digest.hexdigest(), offset, at, large)
        assert large or writer.size < LIMIT_32, "only what was told to be large may be"
        end = self.file.tell()
        self.file.seek(offset)
        self.file.write(member.local())
        self.file.seek(end)
        self.members.append(member)

    def add(self, name: str, at: datetime, content: bytes) -> None:
        """Write a member that is at hand."""
        with self.member(name, at) as writer:
            writer.write(content)


class MemberWriter:
    """Takes the bytes of a member."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = 0
        self.crc = 0
        self.digest = sha256()

    def write(self, piece: bytes) -> None:
        self._file.write(piece)
        self.size += len(piece)
        self.crc = zlib.crc32(piece, self.crc)
        self.digest.update(piece)

    def copy(self, source: BinaryIO, size: int | None = None) -> None:
        """Write what another file has from where it stands, `size` bytes of it or all."""
        for piece in pieces(source, size):
            self.write(piece)


def pieces(source: BinaryIO, size: int | None = None) -> Iterator[bytes]:
    """Yield what a file has from where it stands. Raise `EOFError` if it has fewer than `size` bytes."""
    left = size
    while left is None or left:
        piece = source.read(PIECE_BYTES if left is None else min(left, PIECE_BYTES))
        if not piece:
            if left:
                raise EOFError("a part of an export is shorter than it was")
            return
        yield piece
        left = None if left is None else left - len(piece)


def ending(count: int, start: int, size: int) -> bytes:
    """Return the end of an archive whose directory has so many lines, begins at `start`, and has `size` bytes (4.3.14–16)."""
    found = b""
    if count >= LIMIT_16 or start >= LIMIT_32 or size >= LIMIT_32:
        found = END_64.pack(b"PK\6\6", 44, MADE_ON_UNIX | 45, 45, 0, 0, count, count, size, start)
        found += LOCATOR_64.pack(b"PK\6\7", 0, start + size, 1)
    count_16 = min(count, LIMIT_16)
    return found + END.pack(b"PK\5\6", 0, 0, count_16, count_16, min(size, LIMIT_32), min(start, LIMIT_32), 0)


def close(fragment: Fragment) -> None:
    """Write the directory of an archive that is one fragment."""
    start, lines = fragment.size, [member.central(0) for member in fragment.members]
    fragment.file.write(b"".join(lines))
    fragment.file.write(ending(len(lines), start, fragment.size - start))


def _needs(extra: bytes) -> int:
    return 45 if extra else 20


def _dos(at: datetime) -> tuple[int, int]:
    at = max(at.astimezone(UTC), EARLIEST)
    return at.hour << 11 | at.minute << 5 | at.second // 2, (at.year - 1980) << 9 | at.month << 5 | at.day
