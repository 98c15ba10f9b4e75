"""What a text lost when it became HTML, and whether elements account for it: the judge of the small Markdown.

Of the visible characters (all but white space) of a text, in their order, those that the HTML shows as text stand in the
same order, and nothing else stands there. Each that is missing is the marker of an element that is there: one `*` or `_`
on either side of an `<em>`, two of an `<strong>`, two `~` of an `<s>`, backticks, fences and their language, `>` of a
quote, the bullet or number of an item, and `[`, `](address)` of a link, whose address is its href.
"""

from collections import Counter
from html.parser import HTMLParser

KNOWN = {"p", "br", "em", "strong", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a"}
REL = ("rel", "noopener noreferrer nofollow")


class FileSnapshot(HTMLParser):
    """The text of HTML, and what elements it holds. Raises AssertionError for any that messages do not have."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.elements: Counter[str] = Counter()
        self.links: list[tuple[str, str]] = []  # (href, text)
        self.languages: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == [], f"{self.open} are not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in KNOWN, f"<{tag}>"
        given = dict(attrs)
        kind = tag
        if tag == "li":
            kind = f"{self.open[-1]} li"
        elif tag == "code" and self.open[-1:] == ["pre"]:
            kind = "fenced"
            if "class" in given:
                language = given.pop("class") or ""
                assert language.startswith("language-")
                self.languages.append(language.removeprefix("language-"))
        elif tag == "a":
            assert attrs[1:] == [REL] and attrs[0][0] == "href", attrs
            self.links.append((given.pop("href") or "", ""))
            given.pop("rel")
        assert given.keys() <= {"ol": {"start"}, "li": {"value"}}.get(tag, set()), given
        self.elements[kind] += 1
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if "a" in self.open:
            href, text = self.links[-1]
            self.links[-1] = (href, text + data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"neither text nor element: {data!r}")

    def handle_decl(self, decl: str) -> None:
        self.handle_comment(decl)

    def handle_pi(self, data: str) -> None:
        self.handle_comment(data)

    def unknown_decl(self, data: str) -> None:
        self.handle_comment(data)


def visible(text: str) -> str:
    return "".join(text.split())


def require_nothing_lost(content: str, html: str) -> FileSnapshot:
    """Return what HTML shows. Raises AssertionError where it lost, added or moved anything but markers of elements."""
    shown = FileSnapshot(html)
    source, text = visible(content), visible(shown.text)
    rest = iter(source)
    assert all(c in rest for c in text), "something was added or moved"
    lost = Counter(source)
    lost.subtract(text)
    _take_links(lost, shown)
    for language in shown.languages:
        lost.subtract(language)
    counted = shown.elements
    assert lost["*"] + lost["_"] + lost["-"] + lost["+"] == 2 * counted["em"] + 4 * counted["strong"] + counted["ul li"]
    assert 0 <= lost["-"] + lost["+"] <= counted["ul li"], "more bullets than items"
    assert lost["."] + lost[")"] == counted["ol li"], "numbers"
    digits = sum(lost[digit] for digit in "0123456789")
    assert counted["ol li"] <= digits <= 9 * counted["ol li"], "digits"
    ticks, tildes = lost["`"] - 2 * counted["code"], lost["~"] - 4 * counted["s"]
    assert ticks >= 0 and tildes >= 0 and ticks + tildes >= 3 * counted["fenced"]
    assert counted["code"] + counted["fenced"] or not ticks, "backticks"
    assert counted["fenced"] or not tildes, "tildes"
    assert lost[">"] >= counted["blockquote"] and (counted["blockquote"] or not lost[">"]), "quotes"
    for marker in "*_-+.)`~>0123456789":
        assert lost.pop(marker, 0) >= 0
    assert not +lost and not -lost, f"lost {dict(lost)}"
    return shown


def _take_links(lost: Counter[str], shown: FileSnapshot) -> None:
    """Take off what became links: of one that shows its own address, only where brackets are missing too."""
    for href, text in sorted(shown.links, key=lambda link: link[0] == link[1]):
        marker = Counter(visible(f"[]({href})"))
        if href != text or all(lost[c] >= n for c, n in marker.items()):
            lost.subtract(marker)
    if shown.links:  # `[text](<address>)`
        pointed = min(lost["<"], len(shown.links))
        lost.subtract({"<": pointed, ">": pointed})
