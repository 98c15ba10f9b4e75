"""Frames to fuzz with: good ones, JSON of every kind, broken JSON, broken bytes, and mutations of all of them.

A case is a function of (seed, number) alone, so that one of a million can be made again by itself. JSON is written by a
writer of its own: the library's could neither write a key twice nor a number of 400 digits.
"""

import random
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from domain.bounds import FRAME_BYTES_MAX

Chance = random.Random


ANY_CHAR = re.compile(r".", re.DOTALL)
NEEDS_ESCAPE = re.compile(r'["\\\x00-\x1f]')


class Case(NamedTuple):
    """A frame. One that `is_good` must be taken."""

    text: str
    is_good: bool = False


class Pairs(list[tuple[Any, Any]]):
    """An object as it is written: keys may stand twice, and need be no strings."""


class Raw(str):
    """What is written as it stands."""


KINDS = (
    "authenticate",
    "subscribe",
    "unsubscribe",
    "send",
    "edit",
    "delete",
    "read",
    "react",
    "unreact",
    "pin",
    "unpin",
    "typing",
    "ping",
)
FIELDS = (
    "id", "type", "room_id", "after", "record", "rooms", "content", "message_id", "message_type", "file_id", "reply_to",
    "version", "reason", "position", "token", "emoji", "thread_id", "in_room",
)  # fmt: skip
NUMBERS = (
    "0", "-0", "1", "-1", "2147483647", "2147483648", "9007199254740991", "9007199254740992", "9223372036854775807",
    "9223372036854775808", "18446744073709551615", "18446744073709551616", "-9223372036854775808",
    "-9223372036854775809", "1.0", "1.5", "1e2", "1E400", "-1e-400", "1e999999999", "00", "01", "+1", ".5", "1.", "1e",
    "0x10", "NaN", "Infinity", "-Infinity", "1_000", "9" * 400, "9" * 4_300, "9" * 5_000, "1" + "0" * 300 + ".0",
)  # fmt: skip
TEXTS = (
    "", "x", "hello", "\x00", "\x01\x1f", "\t\n\r", "\x7f\x85", "\u2028\u2029", "\ufeff", "\ufffe\uffff", "😀", "e\u0301",
    "\u202e", '"', "\\", '":', '" : ', "a` - at `$.id", "'", "$.", "null", "../..", "constructor", "__proto__",
    "@room", "`@here`", "@ben, @ben.", "@@", "👍",
)  # fmt: skip
# Written inside a string as they stand: escapes that are good, bad, or half.
ESCAPES = (
    "\\u0000", "\\ud800", "\\udfff", "\\ud83d\\ude00", "\\ude00\\ud83d", "\\uD83D\\u0041", "\\u12", "\\x41", "\\/", "\\b",
    "\\\\ud800", "\\u00e9", "\\q", "\\",
)  # fmt: skip
SPACES = (*("", "", " ", "\t", "\n", "\r", "  ") * 3, "\u00a0", "\u3000", "\x0b")
# As bytes of a frame: overlong, cut off, beyond Unicode, surrogates in UTF-8, marks of order.
BAD_BYTES = (
    b"\xc0\xaf", b"\xc0\x80", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf4\x90\x80\x80", b"\xed\xa0\x80", b"\xff\xfe",
    b"\xef\xbb\xbf", b"\x00", b"\x80", b"\xe2\x82", b"\xf8\x88\x80\x80\x80",
)  # fmt: skip
TOKENS = (
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    '"',
    "\\",
    "null",
    "true",
    "1",
    "{}",
    '""',
    '"id":1,',
    '"type":"ping",',
    "/*",
    "//",
)


def case(seed: int, number: int) -> Case:
    """Return the case of this number, the same for ever."""
    chance = Chance(seed << 64 | number)
    make = chance.choices(MAKERS, WEIGHTS)[0]
    return make(chance)


# Good frames


def good(chance: Chance) -> Pairs:
    """Return a frame that is right in every respect."""
    kind = chance.choice(KINDS)
    found = Pairs([("type", kind)])
    if chance.random() < 0.7:
        found.append(("id", chance.choice((0, 1, 7, 2**31, 2**53 - 1, chance.randrange(2**53)))))
    found += _fields(chance, kind)
    if chance.random() < 0.5:
        chance.shuffle(found)
    return found


def _fields(chance: Chance, kind: str) -> list[tuple[str, Any]]:
    match kind:
        case "authenticate":
            return [("token", _text(chance))]
        case "subscribe" if chance.random() < 0.5:
            rooms = {uuid(chance): maybe(chance, position(chance)) for _ in range(chance.choice((1, 2, 30)))}
            return [("rooms", Pairs(rooms.items())), *_some(chance, record=uuid(chance))]
        case "subscribe":
            return [("room_id", uuid(chance)), *_some(chance, after=position(chance), record=uuid(chance))]
        case "send":
            more = _some(
                chance, message_id=uuid(chance), message_type=chance.choice(("text", "image", "file")),
                file_id=uuid(chance), reply_to=uuid(chance), thread_id=uuid(chance), in_room=chance.random() < 0.5,
            )  # fmt: skip
            return [("room_id", uuid(chance)), ("content", _text(chance)), *more]
        case "edit":
            return [("message_id", uuid(chance)), ("content", _text(chance)), *_why(chance)]
        case "delete":
            return [("message_id", uuid(chance)), *_why(chance)]
        case "react" | "unreact":
            return [("message_id", uuid(chance)), ("emoji", _text(chance))]
        case "pin" | "unpin":
            return [("message_id", uuid(chance))]
        case "read":
            return [("room_id", uuid(chance)), ("position", position(chance))]
        case "unsubscribe" | "typing":
            return [("room_id", uuid(chance))]
    return []


def _why(chance: Chance) -> list[tuple[str, Any]]:
    return _some(chance, version=chance.choice((0, 1, 2**31 - 1)), reason="r" * chance.choice((0, 1, 500)))


def _some(chance: Chance, **fields: Any) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in fields.items() if chance.random() < 0.5]


def maybe(chance: Chance, value: Any) -> Any:
    return value if chance.random() < 0.7 else None


def position(chance: Chance) -> int:
    return chance.choice((0, 1, 1042, 2**53, 2**63 - 1, chance.randrange(2**63)))


def uuid(chance: Chance) -> str:
    """Return a UUID in one of the spellings that are taken."""
    found = UUID(int=chance.getrandbits(128))
    return chance.choice((str(found), str(found), str(found).upper(), found.hex))


def _text(chance: Chance) -> str:
    return "".join(chance.choices(TEXTS, k=chance.choice((0, 1, 1, 3)))) + "x" * chance.choice((0, 0, 20))


# Anything


def anything(chance: Chance, depth: int = 3) -> Any:
    """Return a value of any kind."""
    leaves: tuple[Callable[[], Any], ...] = (
        lambda: None,
        lambda: chance.random() < 0.5,
        lambda: Raw(chance.choice(NUMBERS)),
        lambda: chance.randrange(-(2**70), 2**70),
        lambda: chance.random() * 10 ** chance.randrange(-5, 300),
        lambda: _text(chance),
        lambda: uuid(chance),
        lambda: Raw(f'"{chance.choice(ESCAPES)}"'),
    )
    if depth and chance.random() < 0.25:
        size = chance.choice((0, 1, 2, 3))
        if chance.random() < 0.4:
            return [anything(chance, depth - 1) for _ in range(size)]
        return Pairs((_key(chance), anything(chance, depth - 1)) for _ in range(size))
    return chance.choice(leaves)()


def _key(chance: Chance) -> Any:
    draw = chance.random()
    if draw < 0.75:
        return chance.choice(FIELDS)
    if draw < 0.85:
        return _text(chance)
    if draw < 0.93:
        return Raw(chance.choice(('"i\\u0064"', '"\\u0074ype"', '"room\\u005fid"', '"\\ud800"')))
    return Raw(chance.choice(("1", "null", "id", "'id'", "[]", "{}", "true", "")))


def write(chance: Chance, value: Any, *, is_plain: bool = False) -> str:
    """Write JSON, with whatever space between and escapes within; `is_plain`: as JSON asks for it."""
    space = "" if is_plain else chance.choice(SPACES)
    match value:
        case Raw():
            return space + value
        case Pairs():
            inner = ",".join(
                f"{write(chance, key, is_plain=is_plain)}{space}:{write(chance, each, is_plain=is_plain)}"
                for key, each in value
            )
            return f"{space}{{{inner}}}{space}"
        case list():
            return f"{space}[{','.join(write(chance, each, is_plain=is_plain) for each in value)}]"
        case str():
            return space + _written_text(chance, value)
        case None:
            return f"{space}null"
        case bool():
            return f"{space}{str(value).lower()}"
    return f"{space}{value!r}"


def _written_text(chance: Chance, text: str) -> str:
    return f'"{(ANY_CHAR if chance.random() < 0.1 else NEEDS_ESCAPE).sub(_escaped, text)}"'


def _escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


# Makers of cases


def make_good(chance: Chance) -> Case:
    return Case(write(chance, good(chance), is_plain=True), is_good=True)


def make_shaped(chance: Chance) -> Case:
    """A good frame with a few fields added, taken away, doubled or given another value."""
    pairs = good(chance)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(len(pairs) + 1)
        draw = chance.random()
        if draw < 0.3 or at == len(pairs):
            pairs.insert(at, (_key(chance), anything(chance)))
        elif draw < 0.5:
            del pairs[at]
        elif draw < 0.65:
            pairs.append(pairs[at])
        elif pairs[at][0] == "rooms" and isinstance(pairs[at][1], Pairs) and pairs[at][1]:
            room_id, after = chance.choice(pairs[at][1])
            pairs[at][1].append((chance.choice((room_id, room_id.swapcase(), room_id.replace("-", ""))), after))
        else:
            pairs[at] = (pairs[at][0], anything(chance))
    return Case(write(chance, pairs, is_plain=chance.random() < 0.7))


def make_any_object(chance: Chance) -> Case:
    pairs = Pairs((_key(chance), anything(chance)) for _ in range(chance.randrange(6)))
    if chance.random() < 0.7:
        pairs.append(("type", chance.choice((*KINDS, "", "PING", "hello", "reply"))))
    return Case(write(chance, pairs))


def make_any_json(chance: Chance) -> Case:
    return Case(write(chance, anything(chance, 5)))


def make_mutated(chance: Chance) -> Case:
    """Bytes of a frame, flipped, cut, doubled, spliced, and read as a careless server would read them."""
    raw = write(chance, good(chance), is_plain=True).encode()
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        raw = chance.choice(MUTATIONS)(chance, raw)
    return Case(raw.decode("utf-8", chance.choice(("replace", "surrogateescape", "ignore"))))


def _flip(chance: Chance, raw: bytes) -> bytes:
    if not raw:
        return raw
    at = chance.randrange(len(raw))
    return raw[:at] + bytes([raw[at] ^ 1 << chance.randrange(8)]) + raw[at + 1 :]


def _cut(chance: Chance, raw: bytes) -> bytes:
    return raw[: chance.randrange(len(raw) + 1)]


def _behead(chance: Chance, raw: bytes) -> bytes:
    return raw[chance.randrange(len(raw) + 1) :]


def _double(chance: Chance, raw: bytes) -> bytes:
    low, high = sorted((chance.randrange(len(raw) + 1), chance.randrange(len(raw) + 1)))
    return raw[:high] + raw[low:high] + raw[high:]


def _drop(chance: Chance, raw: bytes) -> bytes:
    low, high = sorted((chance.randrange(len(raw) + 1), chance.randrange(len(raw) + 1)))
    return raw[:low] + raw[high:]


def _splice(chance: Chance, raw: bytes) -> bytes:
    other = write(chance, good(chance), is_plain=True).encode()
    return raw[: chance.randrange(len(raw) + 1)] + other[chance.randrange(len(other) + 1) :]


def _insert(chance: Chance, raw: bytes) -> bytes:
    at = chance.randrange(len(raw) + 1)
    some: Sequence[bytes] = (*BAD_BYTES, *(token.encode() for token in (*TOKENS, *ESCAPES)))
    return raw[:at] + chance.choice(some) + raw[at:]


def _mark(chance: Chance, raw: bytes) -> bytes:
    return chance.choice(BAD_BYTES) + raw


MUTATIONS = (_flip, _cut, _behead, _double, _drop, _splice, _insert, _mark)


def make_noise(chance: Chance) -> Case:
    size = chance.choice((0, 1, 8, 60))
    if chance.random() < 0.5:
        return Case(chance.randbytes(size).decode("utf-8", chance.choice(("replace", "surrogateescape"))))
    return Case("".join(chance.choices((*TOKENS, *TEXTS, *SPACES, *FIELDS), k=size)))


def make_deep(chance: Chance) -> Case:
    """Something nested, up to as deep as a frame may be long."""
    depth = chance.choice((10, 100, 900, 1_000, 1_100, 5_000, 60_000))
    opening, closing = chance.choice((("[", "]"), ('{"a":', "}"), ('{"rooms":', "}"), ("[{},", "]")))
    depth = min(depth, (FRAME_BYTES_MAX - 200) // (len(opening) + 1))
    deep = opening * depth + "1" + closing * (depth if chance.random() < 0.7 else depth // 2)
    pairs = good(chance)
    pairs.insert(chance.randrange(len(pairs) + 1), (chance.choice(FIELDS), Raw(deep)))
    return Case(deep if chance.random() < 0.2 else write(chance, pairs, is_plain=True))


def make_large(chance: Chance) -> Case:
    """A frame of as many bytes as one may have."""
    return large(chance.choice(FILLERS), chance.choice(SHAPES))


def large(filler: str, shape: str) -> Case:
    """Fill a frame with whatever might cost more than it should; `rooms` are filled with as many as fit."""
    size = FRAME_BYTES_MAX - 600
    if shape == "rooms":
        rooms = ",".join(f'"{i:032x}":{i}' for i in range(size // 41))
        return Case(f'{{"id":7,"type":"subscribe","rooms":{{{rooms}}}}}')
    return Case(shape.replace("~", filler * (size // len(filler.encode()))))


FILLERS = (
    "x", "\\ud800", "\\u0000", '\\"', '\\":', '\\" ', "\\\\", " ", "9", "[", "{", '"', '":', ',"id":7', "` - at `$.",
    "' - at `$.a`", "😀", "\\ud83d\\ude00",
)  # fmt: skip
SHAPES = (
    '{"id":7,"type":"authenticate","token":"~"}',
    '{"id":7,"type":"ping","~":1}',
    '{"id":7,"type":"~"}',
    '{"id":7,"type":"ping"~}',
    '{"id":~,"type":"ping"}',
    '{"type":"ping","id":~',
    '{"type":"ping","x":~',
    "~",
    "rooms",
)
WEIGHTED: tuple[tuple[Callable[[Chance], Case], float], ...] = (
    (make_good, 18),
    (make_shaped, 42),
    (make_any_object, 10),
    (make_any_json, 6),
    (make_mutated, 20),
    (make_noise, 3.5),
    (make_deep, 0.3),
    (make_large, 0.2),
)
MAKERS = [maker for maker, _ in WEIGHTED]
WEIGHTS = [weight for _, weight in WEIGHTED]
