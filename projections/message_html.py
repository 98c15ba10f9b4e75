"""The text of messages as HTML: a small Markdown, rendered and sanitised before it is stored.

Owns the table `read.message_html`; a group of its own, so that rendering never holds up a message. Nothing that runs
gets through: raw HTML is not HTML here, nh3 lets through what is listed, and links lead to http, https and mailto only.
"""

import re
from collections.abc import Iterable
from html import escape

import nh3
from markdown_it import MarkdownIt

from domain.facts import Recorded
from domain.message import MessageDeleted, MessageEdited, MessagePosted
from projections.tables import Change, Projection, Table

# Text in which Markdown sees nothing to do is a paragraph as it stands: letters, digits, spaces and mild punctuation.
PLAIN = re.compile(r"[^\W\d_](?:[^\W_]| (?! )|[,.;:?!'()/%–—…-])*")
TAGS = {"p", "br", "em", "strong", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a", "hr"}
SCHEMES = {"http", "https", "mailto"}
MARKDOWN = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("strikethrough").disable(["image"])

MESSAGE_HTML = Table("read.message_html", key={"position": "bigint"}, columns={"version": "int", "html": "text"})


def render(content: str) -> str:
    """Return sanitised HTML of a message's text; "" for none."""
    if not content:
        return ""
    if PLAIN.fullmatch(content) and content[-1] != " ":
        return f"<p>{escape(content, quote=False)}</p>\n"
    return nh3.clean(
        MARKDOWN.render(content),
        tags=TAGS,
        attributes={"a": {"href"}, "ol": {"start"}},
        url_schemes=SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )


def posted(fact: Recorded[MessagePosted]) -> Iterable[Change]:
    yield MESSAGE_HTML.new(fact.position, version=fact.version, html=render(fact.event.content))


def edited(fact: Recorded[MessageEdited]) -> Iterable[Change]:
    yield MESSAGE_HTML.set(fact.event.posted_position, version=fact.version, html=render(fact.event.content))


def deleted(fact: Recorded[MessageDeleted]) -> Iterable[Change]:
    yield MESSAGE_HTML.set(fact.event.posted_position, version=fact.version, html="")


PROJECTION = Projection(
    tables=(MESSAGE_HTML,), handlers={MessagePosted: posted, MessageEdited: edited, MessageDeleted: deleted}
)
