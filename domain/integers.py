"""Integers: how large a number in an event may be. Each type is as wide as the column that keeps it, for ever.

A number of an event is an `Int4` or an `Int8`. An event with a larger one can be neither made nor decoded: a decision that
tries is stopped before anything is recorded, and one that is on the record nevertheless is an unreadable event. How large
a number may sensibly be (the pixels of a picture) is another matter: such bounds may change, these may not.
"""

from functools import lru_cache
from typing import Annotated

from msgspec import Meta, Struct, inspect

INT4_MAX = 2**31 - 1
INT8_MAX = 2**63 - 1
Int4 = Annotated[int, Meta(ge=0, le=INT4_MAX)]
Int8 = Annotated[int, Meta(ge=0, le=INT8_MAX)]


def require_bounds(made: Struct) -> None:
    """Raise `ValueError` unless each number of a struct is within the bounds that its type declares.

    msgspec checks bounds when it decodes. This function, called in `__post_init__`, checks them whenever a struct is made.
    """
    for name, low, high in bounds_of(type(made)):
        value = getattr(made, name)
        if value is not None and not low <= value <= high:
            raise ValueError(f"{type(made).__name__}.{name} is not between {low} and {high}.")


@lru_cache(maxsize=512)
def bounds_of(kind: type[Struct]) -> tuple[tuple[str, int, int], ...]:
    """Return name, least and greatest value of each number of a struct that has bounds."""
    about = inspect.type_info(kind)
    assert isinstance(about, inspect.StructType), "only structs have bounds"
    return tuple(
        (field.name, each.ge, each.le)
        for field in about.fields
        for each in (field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,))
        if isinstance(each, inspect.IntType) and each.ge is not None and each.le is not None
    )
