"""Emoji: what is one, and in which spelling it is kept.

Unicode lists its emoji with the spellings that are in use (UTS #51, `emoji-test.txt`): qualified ones, and those without
variation selectors, which keyboards send too. All spellings of one are one emoji here, kept as the fully qualified one.
Components (a skin tone alone) are none.
"""

from collections.abc import Mapping
from functools import cache

from domain.bounds import EMOJI_CHARS_MAX
from domain.errors import EmojiUnknownError

VARIATION_SELECTOR = "\ufe0f"


def emoji_of(text: str) -> str:
    """Return the emoji that a text is, fully qualified. Raises `EmojiUnknownError` for anything else."""
    if len(text) <= EMOJI_CHARS_MAX and (found := qualified().get(text.replace(VARIATION_SELECTOR, ""))) is not None:
        return found
    raise EmojiUnknownError(pointer="/emoji")


@cache
def qualified() -> Mapping[str, str]:
    """Return all emoji, by themselves without variation selectors.

    The library takes a tenth of a second to load: a gateway does it before anybody waits, others never.
    """
    import emoji

    status = emoji.STATUS["fully_qualified"]
    return {
        each.replace(VARIATION_SELECTOR, ""): each
        for each, about in emoji.EMOJI_DATA.items()
        if about["status"] == status
    }
