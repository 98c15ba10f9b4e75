"""Numbers in events: each fits the column that keeps it, in whatever way the event is made."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import Struct, inspect
from msgspec.structs import replace

from domain.integers import INT4_MAX, INT8_MAX
from domain.topics import TOPICS
from projections import files, members, messages, notifications, pins, reactions, retention, threads
from tests.domain.test_topics import LINES, event_of

# The column in which each number ends; None: it is in no table, and as wide as a bigint.
COLUMNS: dict[tuple[str, str], str | None] = {
    ("AuditRead", "minute"): None,
    ("OperationsRead", "minute"): None,
    ("ErasureCompleted", "messages"): None,
    ("ErasureCompleted", "files"): None,
    ("ErasureCompleted", "reactions"): None,
    ("ErasureCompleted", "keys"): None,
    ("ErasureCompleted", "wrapping"): "int",
    ("ForwardingBegan", "after"): None,
    ("FileCompleted", "size_bytes"): files.FILES.types["size_bytes"],
    ("FileCompleted", "pages"): files.FILES.types["pages"],
    ("FileFailed", "size_bytes"): files.FILES.types["size_bytes"],
    ("FileProcessed", "pages"): files.FILES.types["pages"],
    ("FileReceived", "size_bytes"): files.FILES.types["size_bytes"],
    ("FileVariant", "width"): files.VARIANTS.types["width"],
    ("FileVariant", "height"): files.VARIANTS.types["height"],
    ("FileVariant", "size_bytes"): files.VARIANTS.types["size_bytes"],
    ("Variant", "width"): files.VARIANTS.types["width"],
    ("Variant", "height"): files.VARIANTS.types["height"],
    ("Variant", "size_bytes"): files.VARIANTS.types["size_bytes"],
    ("MessageEdited", "posted_position"): messages.MESSAGES.types["position"],
    ("MessageDeleted", "posted_position"): messages.MESSAGES.types["position"],
    ("MessagePinned", "posted_position"): pins.PINS.types["posted_position"],
    ("MessageUnpinned", "posted_position"): pins.PINS.types["posted_position"],
    ("ReactionAdded", "count"): reactions.COUNTS.types["count"],
    ("ReactionAdded", "posted_position"): reactions.REACTIONS.types["posted_position"],
    ("ReactionRemoved", "count"): reactions.COUNTS.types["count"],
    ("ReactionRemoved", "posted_position"): reactions.REACTIONS.types["posted_position"],
    ("MessagePosted", "root_position"): messages.MESSAGES.types["root_position"],
    ("ThreadReplied", "reply_count"): threads.THREADS.types["reply_count"],
    ("ThreadReplied", "participant_count"): threads.THREADS.types["participant_count"],
    ("ThreadReplied", "posted_position"): threads.THREADS.types["root_position"],
    ("ThreadReplyDeleted", "reply_count"): threads.THREADS.types["reply_count"],
    ("ThreadReplyDeleted", "participant_count"): threads.THREADS.types["participant_count"],
    ("ThreadReplyDeleted", "posted_position"): threads.THREADS.types["root_position"],
    ("ThreadFollowed", "posted_position"): threads.FOLLOWERS.types["root_position"],
    ("ThreadFollowed", "since"): threads.FOLLOWERS.types["read_position"],
    ("ThreadUnfollowed", "posted_position"): threads.FOLLOWERS.types["root_position"],
    ("ThreadRead", "posted_position"): threads.FOLLOWERS.types["root_position"],
    ("ThreadRead", "position"): threads.FOLLOWERS.types["read_position"],
    ("EventParked", "position"): None,
    ("EventReplayed", "position"): None,
    ("ReadMarked", "position"): members.MEMBERS.types["read_position"],
    ("RetentionSet", "days_min"): retention.POLICIES.types["days_min"],
    ("RetentionSet", "days_max"): retention.POLICIES.types["days_max"],
    ("RebuildAsked", "jobs"): "int",
    ("RetentionApplied", "days_max"): "int",
    ("RetentionApplied", "messages"): None,
    ("RetentionApplied", "files"): None,
    ("RecordRestored", "position"): None,
    ("NotificationsRead", "position"): notifications.INBOXES.types["read_position"],
    ("ExportRequested", "after"): None,
    ("ExportRequested", "until"): None,
    ("ExportCompleted", "size_bytes"): None,
    ("ExportCompleted", "messages"): None,
    ("ExportCompleted", "erased"): None,
    ("RefusalsCounted", "count"): None,
    ("RefusalsCounted", "minute"): None,
    ("FileSnapshot", "size_bytes"): files.FILES.types["size_bytes"],
    ("FileSnapshot", "pages"): files.FILES.types["pages"],
}
GREATEST = {"int": INT4_MAX, "bigint": INT8_MAX, None: INT8_MAX}


def structs_of(kind: inspect.Type) -> Iterator[inspect.StructType]:
    """Tell every struct that stands in a type, itself among them."""
    match kind:
        case inspect.StructType():
            yield kind
            for field in kind.fields:
                yield from structs_of(field.type)
        case inspect.UnionType():
            for each in kind.types:
                yield from structs_of(each)
        case inspect.VarTupleType() | inspect.ListType():
            yield from structs_of(kind.item_type)
        case inspect.TupleType():
            for each in kind.item_types:
                yield from structs_of(each)


def is_number(kind: inspect.Type) -> bool:
    """Whether a field may hold a number; what a bound cannot be said of is found here too."""
    parts = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return any(isinstance(part, (inspect.IntType, inspect.FloatType, inspect.AnyType)) for part in parts)


STRUCTS = {about.cls: about for kind in TOPICS.values() for about in structs_of(inspect.type_info(kind))}
NUMBERS = sorted(
    ((cls, field.name) for cls, about in STRUCTS.items() for field in about.fields if is_number(field.type)),
    key=lambda each: (each[0].__name__, each[1]),
)


def golden() -> list[Any]:
    return [event_of(line) for line in LINES]


def every_struct(made: Any) -> Iterator[Struct]:
    """Tell every struct within an event."""
    if isinstance(made, Struct):
        yield made
        for name in made.__struct_fields__:
            yield from every_struct(getattr(made, name))
    elif isinstance(made, (tuple, list)):
        for each in made:
            yield from every_struct(each)


EXAMPLES = {type(made): made for event in golden() for made in every_struct(event)}


def test_every_number_of_every_event_is_known() -> None:
    assert {(cls.__name__, name) for cls, name in NUMBERS} == set(COLUMNS)


@pytest.mark.parametrize(("cls", "name"), NUMBERS, ids=lambda each: getattr(each, "__name__", each))
def test_a_number_that_its_column_cannot_hold_is_in_no_event(cls: type[Struct], name: str) -> None:
    example, greatest = EXAMPLES[cls], GREATEST[COLUMNS[cls.__name__, name]]
    assert getattr(replace(example, **{name: greatest}), name) == greatest
    for beyond in (greatest + 1, -1, 2**40 if greatest == INT4_MAX else 2**70):
        with pytest.raises(ValueError, match=name):
            replace(example, **{name: beyond})
        fields = {field: getattr(example, field) for field in example.__struct_fields__}
        with pytest.raises(ValueError, match=name):
            cls(**{**fields, name: beyond})
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(msgspec.json.encode({**msgspec.to_builtins(example), name: beyond}), type=cls)
