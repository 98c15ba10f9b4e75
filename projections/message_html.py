"""The text of messages as HTML: a small Markdown, rendered and sanitised before it is stored.

Owns the table `read.message_html`; a group of its own, so that rendering never holds up a message. Nothing that runs
gets through: raw HTML is not HTML here, and nh3 lets through what is listed, whatever the renderer made. A message takes
a few milliseconds at most and becomes at most `HTML_BYTES_PER_BYTE` times its size and a little: past a bound it is
its escaped text.
"""

import re
from collections.abc import Iterable
from html import escape

from nh3 import Cleaner

from domain.events import Recorded
from domain.message import MessageDeleted, MessageEdited, MessagePosted
from projections import links, markdown
from projections.tables import Change, Projection, Table

HTML_BYTES_PER_BYTE = 8
HTML_BYTES_BESIDE = 4 * 1024
# Text in which Markdown sees nothing to do is a paragraph as it stands: letters, digits, spaces and mild punctuation.
PLAIN = re.compile(r"(?:[^\W\d_]|[(@][^\W_])(?:[^\W_]| (?! )|:(?!//)|[@,.;?!'()/%–—…-])*")
ATTRIBUTES = {"a": {"href"}, "ol": {"start"}, "li": {"value"}, "code": {"class"}}
REFUSED = "<a rel="  # what nh3 leaves of a link whose address it does not let through, and that would be lost
VISIBLE = re.compile(r">[^<]*[^<\s]")  # a lone `>` or fence would be an element that holds nothing: it stays as typed
CLASS = re.compile(rf"language-{markdown.LANGUAGE.pattern}")

MESSAGE_HTML = Table("read.message_html", key={"position": "bigint"}, columns={"version": "int", "html": "text"})


def render(content: str) -> str:
    """Return sanitised HTML of a message's text; "" for none."""
    if not content:
        return ""
    if PLAIN.fullmatch(content) and content[-1] != " ":
        return f"<p>{escape(content, quote=False)}</p>\n"
    html = markdown.to_html(content)
    bytes_max = HTML_BYTES_PER_BYTE * len(content.encode()) + HTML_BYTES_BESIDE
    if html is not None and len(html) <= bytes_max:
        html = CLEANER.clean(html)
        if len(html.encode()) <= bytes_max and REFUSED not in html and VISIBLE.search(html):
            return html
    return "<p>" + escape(content, quote=False).replace("\n", "<br>\n") + "</p>\n"


def _permitted(_: str, attribute: str, value: str) -> str | None:
    """Judge an attribute once more, by what may be in it and not by who made it."""
    match attribute:
        case "href":
            return value if links.is_safe(value) else None
        case "class":
            return value if CLASS.fullmatch(value) else None
        case "rel":
            return value  # nh3's own
    return value if value.isdecimal() else None


def posted(recorded: Recorded[MessagePosted]) -> Iterable[Change]:
    yield MESSAGE_HTML.new(recorded.position, version=recorded.version, html=render(recorded.event.content))


def edited(recorded: Recorded[MessageEdited]) -> Iterable[Change]:
    yield MESSAGE_HTML.set(
        recorded.event.posted_position, version=recorded.version, html=render(recorded.event.content)
    )


def deleted(recorded: Recorded[MessageDeleted]) -> Iterable[Change]:
    yield MESSAGE_HTML.set(recorded.event.posted_position, version=recorded.version, html="")


CLEANER = Cleaner(
    tags={"p", "br", "em", "strong", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a"},
    attributes=ATTRIBUTES,
    attribute_filter=_permitted,
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    link_rel="noopener noreferrer nofollow",
)
PROJECTION = Projection(
    tables=(MESSAGE_HTML,), handlers={MessagePosted: posted, MessageEdited: edited, MessageDeleted: deleted}
)
