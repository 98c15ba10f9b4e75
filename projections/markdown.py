"""The small Markdown of messages as HTML: pulldown-cmark finds the elements, and nothing that is written gets lost.

Paragraphs with their line breaks, emphasis, strong, strike, code, fenced code, quotes, lists, `[text](address)` and bare
addresses. Whatever else CommonMark knows is left in the HTML as it was typed: definitions, headings, rules, raw HTML,
images, titles, entities, indented code. A backslash keeps a sign from being a marker, and stays.

`projections/signs.py` keeps the parser from finding anything else; events say where it found what it did.

Everything is linear in the text, and bounded: `to_html` returns None past a bound.
"""

import re
from html import escape
from typing import Any

from pyromark import Markdown, Options

from projections import links, signs

NESTING_MAX = 20
EVENTS_MAX = 2_000
SIGNS_MAX = 2_000
ADDRESSES_MAX = 300
PARSER = Markdown(options=Options.ENABLE_STRIKETHROUGH)

# Quotes and lists that begin in one line: a parser walks through all of them again in each line that follows.
NESTED = re.compile(rf"^(?:[ \t]*+(?:>|[-+*](?=[ \t])|[0-9]{{1,9}}+[.)](?=[ \t]))){{{NESTING_MAX + 1}}}", re.MULTILINE)
UNDERLINE = re.compile(r"[-=]+\s*\Z")
LANGUAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+#.-]{0,31}")
NUMBER = re.compile(rb"[0-9]{1,9}")
ELEMENTS = {
    "Paragraph": ("<p>", "</p>\n"),
    "Emphasis": ("<em>", "</em>"),
    "Strong": ("<strong>", "</strong>"),
    "Strikethrough": ("<s>", "</s>"),
}
INLINE = ELEMENTS.keys() - {"Paragraph"}


def to_html(content: str) -> str | None:
    """Return the HTML of a text; None for one that nests or holds more than is worth it, or that uses our signs."""
    if _is_crowded(content) or NESTED.search(content) or (not content.isascii() and signs.RESERVED.search(content)):
        return None
    try:
        return _written(signs.defused(content))
    except BaseException as error:
        # A panic, which is a bug of the parser in Rust, is no Exception: it would end the process, again and again.
        if type(error).__name__ != "PanicException":
            raise
        return None


def _written(source: str) -> str | None:
    writer = _Writer(source.encode())
    for i, (event, place) in enumerate(PARSER.events_with_range(source, merge_text=True)):
        writer.write(event, place["start"], place["end"])
        if i > EVENTS_MAX or len(writer.open) > NESTING_MAX:
            return None
    return signs.in_html("".join(writer.out))


def _is_crowded(content: str) -> bool:
    return content.count("<") + content.count("&") + content.count("\\") > SIGNS_MAX or (
        content.count("://") + content.count("](") > ADDRESSES_MAX
    )


class _Writer:
    """HTML of events as they come. `open` holds what ends each open element, in order; "" where its end decides."""

    def __init__(self, source: bytes) -> None:
        self.out: list[str] = []
        self.open: list[str] = []
        self._source = source
        self._last = 0  # where the event before ended
        self._linking = self._safe = False  # whether a link is open, and whether its address was let through
        self._code = ""  # "Fenced", "Indented"
        self._numbers: list[int | None] = []  # of each open list, what its next item's would be

    def write(self, event: Any, start: int, end: int) -> None:
        if event == "Rule":
            self._begin_line()
            self.out.append(f"<p>{self._literal(start, end).strip()}</p>\n")
        elif isinstance(event, str):
            self.out.append("<br>\n")
        else:
            [(kind, what)] = event.items()
            if kind == "Text":
                self._text(what)
            elif kind == "Start":
                self._start(what, start, end)
                end = start + 1  # the bracket of a link; not needed for others
            elif kind == "End":
                self._end(end)
            else:
                self.out.append(f"<code>{escape(signs.without_backslashes(what), quote=False)}</code>")
        self._last = end

    def _text(self, text: str) -> None:
        if self._code == "Fenced":
            self.out.append(escape(signs.without_backslashes(text), quote=False))
        elif self._code == "Indented":
            self.out.append(self._linked(signs.without_backslashes(text).strip("\n")).replace("\n", "<br>\n"))
        else:
            self.out.append(self._linked(text))

    def _linked(self, text: str) -> str:
        html = escape(text, quote=False)
        return html if self._linking else signs.with_links(html)

    def _literal(self, start: int, end: int) -> str:
        """Return HTML of a piece of the source as it was typed."""
        return self._linked(signs.without_backslashes(self._source[start:end].decode()))

    def _start(self, tag: Any, start: int, end: int) -> None:
        if tag == "Item":
            self._item(start)
            return
        kind: str = tag if isinstance(tag, str) else next(iter(tag))
        what: Any = None if isinstance(tag, str) else tag[kind]
        if kind == "Link":
            self._safe = links.is_safe(address := signs.as_typed(what["dest_url"]))
            self._linking = self._safe and self._is_link(what["dest_url"], start, end)
            self._element(*((f'<a href="{escape(address)}">', "</a>") if self._linking else ("[", "")))
            return
        if kind not in INLINE:
            self._begin_line()
        self._element(*(ELEMENTS.get(kind) or self._block(kind, what)))

    def _block(self, kind: str, what: Any) -> tuple[str, str]:
        match kind:
            case "BlockQuote":
                return "<blockquote>\n", "</blockquote>\n"
            case "List":
                self._numbers.append(what)
                if what is None:
                    return "<ul>\n", "</ul>\n"
                return ("<ol>\n" if what == 1 else f'<ol start="{what}">\n'), "</ol>\n"
            case "CodeBlock" if what == "Indented":
                self._code = "Indented"
                return ELEMENTS["Paragraph"]
            case "CodeBlock":
                self._code = "Fenced"
                return _fence(what["Fenced"]), "</code></pre>\n"
        assert kind == "Heading", "no other block is switched on, and headings by underlining alone are left"
        return "<p>", ""

    def _begin_line(self) -> None:
        if self.out and not self.out[-1].endswith("\n"):
            self.out.append("\n")

    def _element(self, start: str, end: str) -> None:
        self.out.append(start)
        self.open.append(end)

    def _item(self, start: int) -> None:
        """Begin an item; its number is written if it is above the next one, and would be lost in counting."""
        value, expected = "", self._numbers[-1]
        if expected is not None and (found := NUMBER.match(self._source, start)):
            number = int(found[0])
            value = f' value="{number}"' if number > expected else ""
            self._numbers[-1] = max(number, expected) + 1
        self._element(f"<li{value}>", "</li>\n")

    def _end(self, end: int) -> None:
        closing = self.open.pop()
        if closing == "":
            closing = self._rest(self._source[self._last : end].decode())
        elif closing == "</a>":
            self._linking = False
        elif closing in ("</ul>\n", "</ol>\n"):
            self._numbers.pop()
        elif closing in ("</code></pre>\n", "</p>\n"):
            self._code = ""
        self.out.append(closing)

    def _rest(self, source: str) -> str:
        """Return what follows the text of something that is no link, or underlines what is no heading, as typed."""
        if underline := UNDERLINE.search(source):
            return f"<br>\n{underline[0].strip()}</p>\n"
        source = signs.without_backslashes(source)
        return self._linked(source) if self._safe else escape(source, quote=False)

    def _is_link(self, address: str, start: int, end: int) -> bool:
        """Whether it is `[text](address)`, with a text, and nothing else that would be lost."""
        source = self._source[start:end].decode()
        for written in (f"]({address})", f"](<{address}>)"):
            if source.endswith(written):
                return any(c.isprintable() and not c.isspace() for c in signs.as_typed(source[1 : -len(written)]))
        return False


def _fence(info: str) -> str:
    """Return what begins a fenced block; what follows its language is its first line."""
    info = signs.as_typed(info.replace(signs.BACKSLASH, "\\"))
    language, _, rest = info.partition(" ")
    if not LANGUAGE.fullmatch(language):
        return f"<pre><code>{escape(info, quote=False)}\n" if info else "<pre><code>"
    first = f"{escape(rest.strip(), quote=False)}\n" if rest.strip() else ""
    return f'<pre><code class="language-{language}">{first}'
