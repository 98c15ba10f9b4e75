"""Signs that are put into a message's text for the parser, so that it finds the small Markdown and nothing else.

They are noncharacters (Unicode 23.7: for use within a program), which the parser takes for letters: behind what would begin
something that is not of the small Markdown, and in place of the punctuation in addresses. They are taken out of whatever
the parser makes of the text, so it does not matter where it may have put them.
"""

import re
from html import escape
from string import punctuation

from projections import links

BREAK = "\ufffe"  # follows what must not begin an element
BACKSLASH = "\uffff"  # precedes a backslash that the parser will take for an escape, and drop
ADDRESS, END = "\U0001fffe", "\U0001ffff"  # enclose a bare address that may become a link
HIDDEN = {ord(sign): chr(0xFDD0 + i) for i, sign in enumerate(punctuation)}
TILDE, COLON = HIDDEN[ord("~")], HIDDEN[ord(":")]
TYPED = {ord(stand_in): chr(sign) for sign, stand_in in HIDDEN.items()} | {ord(ADDRESS): "", ord(END): ""}
TYPED_IN_HTML = {stand_in: escape(text) for stand_in, text in TYPED.items()}
RESERVED = re.compile(r"[\ufdd0-\ufdef\ufffe\uffff\U0001fffe\U0001ffff]")
LINKED = re.compile(f"{ADDRESS}([^{END}]*){END}")

ESCAPE = re.compile(rf"(\\[{re.escape(punctuation)}])")
SINGLE_TILDE = re.compile(r"(?<!~)~(?!~)")
ADDRESSES = re.compile(f"{links.IN_DESTINATION}|{links.BARE}", re.IGNORECASE)
# Raw HTML and `<addresses>`, entities, images, definitions (`[a]: b`), headings: none of them begins with a letter.
BEGINNINGS = [
    (sign + rest, sign + BREAK + rest)
    for sign, rest in (("<", ""), ("&", ""), ("!", "["), ("]", ":"), ("#", " "), ("#", "\t"), ("#", "\n"))
]


def defused(text: str) -> str:
    """Return a text in which the parser finds the small Markdown and nothing else."""
    if "://" in text:
        text = ADDRESSES.sub(_address, text)
    if "\\" in text:
        text = ESCAPE.sub(rf"{BACKSLASH}\1", text).replace("\\\n", f"\\{BREAK}\n")
        text = text.replace(rf"{BACKSLASH}\~", rf"\{TILDE}")
    if "~" in text:
        text = SINGLE_TILDE.sub(TILDE, text)
    for beginning, broken in BEGINNINGS:
        text = text.replace(beginning, broken)
    return text + BREAK if text.endswith("#") else text


def _address(found: re.Match[str]) -> str:
    """Return an address with its punctuation hidden, and marked where it may become a link."""
    candidate, text = found[0], found.string
    whole = text.startswith(")", found.end()) and text.endswith("](", 0, found.start())
    size = len(candidate) if whole else links.length_of(candidate)
    hidden = candidate[:size].translate(HIDDEN)
    return (f"{ADDRESS}{hidden}{END}" if links.is_safe(candidate[:size]) else hidden) + candidate[size:]


def as_typed(text: str) -> str:
    """Return a piece of the text as it was typed."""
    return text if text.isascii() else without_backslashes(text).replace(BREAK, "").translate(TYPED)


def without_backslashes(text: str) -> str:
    """Return a piece of the text in which the parser saw no escapes, and kept their backslashes."""
    return text.replace(BACKSLASH, "")


def in_html(html: str) -> str:
    """Return HTML made of the text, with what the signs stood for."""
    html = html.replace(BREAK, "").replace(BACKSLASH, "\\").replace(TILDE, "~")
    return html.translate(TYPED_IN_HTML) if COLON in html else html


def with_links(html: str) -> str:
    """Return HTML in which bare addresses are links."""
    return LINKED.sub(r'<a href="\1">\1</a>', html) if ADDRESS in html else html
