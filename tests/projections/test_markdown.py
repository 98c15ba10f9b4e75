"""The small Markdown of messages: what becomes an element, what stands as it was typed, and what it may cost."""

import time
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections import links, markdown
from projections.message_html import CLEANER, HTML_BYTES_BESIDE, HTML_BYTES_PER_BYTE, PLAIN, render
from tests.projections.losses import FileSnapshot, require_nothing_lost

CHARS = 10_000
REL = ' rel="noopener noreferrer nofollow"'
# Seconds of this thread for the worst message; some three milliseconds alone on a core, and ten times that is allowed.
RENDER_SECONDS_MAX = 0.03


def html(content: str) -> str:
    """Return what a text becomes, without what every link says."""
    return render(content).replace(REL, "")


ELEMENTS = [
    ("one\ntwo  \nthree\n\nfour", "<p>one<br>\ntwo<br>\nthree</p>\n<p>four</p>\n"),
    ("*a* _b_ **c** __d__ ~~e~~ `f`", "<p><em>a</em> <em>b</em> <strong>c</strong> <strong>d</strong> <s>e</s> <code>f</code></p>\n"),
    ("***a***", "<p><em><strong>a</strong></em></p>\n"),
    ("> a\n> b\n\nc", "<blockquote>\n<p>a<br>\nb</p>\n</blockquote>\n<p>c</p>\n"),
    ("- a\n  - b\n- c", "<ul>\n<li>a\n<ul>\n<li>b</li>\n</ul>\n</li>\n<li>c</li>\n</ul>\n"),
    ("1. a\n2. b", "<ol>\n<li>a</li>\n<li>b</li>\n</ol>\n"),
    ("3. a\n5. b\n5. c", '<ol start="3">\n<li>a</li>\n<li value="5">b</li>\n<li>c</li>\n</ol>\n'),
    ("```\na < *b*\n```", "<pre><code>a &lt; *b*\n</code></pre>\n"),
    ("```python\nx\n```", '<pre><code class="language-python">x\n</code></pre>\n'),
    ("~~~c++\nx", '<pre><code class="language-c++">x</code></pre>\n'),
    ("```python lines=3\nx\n```", '<pre><code class="language-python">lines=3\nx\n</code></pre>\n'),
    ('```a"onload=1\nx\n```', '<pre><code>a"onload=1\nx\n</code></pre>\n'),
    ("[a *b*](https://x.example/c)", '<p><a href="https://x.example/c">a <em>b</em></a></p>\n'),
    ("[a](<https://x.example/c>)", '<p><a href="https://x.example/c">a</a></p>\n'),
    ("[a](mailto:a@x.example)", '<p><a href="mailto:a@x.example">a</a></p>\n'),
    ("[https://a.example](https://b.example)", '<p><a href="https://b.example">https://a.example</a></p>\n'),
]  # fmt: skip
AS_TYPED = [
    ("[12:30]: lunch", "<p>[12:30]: lunch</p>\n"),
    ("[a]: https://x.example\n\n[a] [b][a] [a][]", '<p>[a]: <a href="https://x.example">https://x.example</a></p>\n<p>[a] [b][a] [a][]</p>\n'),
    ("# 1 priority", "<p># 1 priority</p>\n"),
    ("#\n## a ##", "<p>#<br>\n## a ##</p>\n"),
    ("- # a", "<ul>\n<li># a</li>\n</ul>\n"),
    ("a\n---\nb", "<p>a<br>\n---</p>\n<p>b</p>\n"),
    ("> a\n> ===", "<blockquote>\n<p>a<br>\n===</p>\n</blockquote>\n"),
    ("a\n-", "<p>a<br>\n-</p>\n"),
    ("---\n\n* * *\n\n- ___", "<p>---</p>\n<p>* * *</p>\n<ul>\n<li>\n<p>___</p>\n</li>\n</ul>\n"),
    ("<b onclick=x>a</b>\n<!-- c --> <?d?>", "<p>&lt;b onclick=x&gt;a&lt;/b&gt;<br>\n&lt;!-- c --&gt; &lt;?d?&gt;</p>\n"),
    ("<script>\nalert(1)\n</script>", "<p>&lt;script&gt;<br>\nalert(1)<br>\n&lt;/script&gt;</p>\n"),
    ("![a](https://x.example/b.png)", '<p>!<a href="https://x.example/b.png">a</a></p>\n'),
    ("|a|b|\n|-|-|\n|c|d|", "<p>|a|b|<br>\n|-|-|<br>\n|c|d|</p>\n"),
    ("a[^1]\n\n[^1]: b", "<p>a[^1]</p>\n<p>[^1]: b</p>\n"),
    ("&amp; &#65; &copy; AT&T", "<p>&amp;amp; &amp;#65; &amp;copy; AT&amp;T</p>\n"),
    ("`&amp;` **&lt;**", "<p><code>&amp;amp;</code> <strong>&amp;lt;</strong></p>\n"),
    (r"\*a\* ¯\_(ツ)_/¯ C:\*.txt", "<p>\\*a\\* ¯\\_(ツ)_/¯ C:\\*.txt</p>\n"),
    ("a\\\nb\\", "<p>a\\<br>\nb\\</p>\n"),
    (r"`\*` \\*a*", "<p><code>\\*</code> \\\\<em>a</em></p>\n"),
    ("```\n\\* &amp; [a]: b <c\n# d\n```", "<pre><code>\\* &amp;amp; [a]: b &lt;c\n# d\n</code></pre>\n"),
    ("    a *b*\n\n    c", "<p>a *b*<br>\n<br>\nc</p>\n"),
    ("~5 to ~6 ~a~", "<p>~5 to ~6 ~a~</p>\n"),
    ("- [ ] a\n- [x] b", "<ul>\n<li>[ ] a</li>\n<li>[x] b</li>\n</ul>\n"),
    ("snake_case_name 2*3*4 = 24", "<p>snake_case_name 2<em>3</em>4 = 24</p>\n"),
    ('[a](https://x.example "b")', '<p>[a](<a href="https://x.example">https://x.example</a> "b")</p>\n'),
    (">", "<p>&gt;</p>\n"),
    ("> \n>", "<p>&gt; <br>\n&gt;</p>\n"),
    ("```", "<p>```</p>\n"),
    ("~~~\n\n~~~", "<p>~~~<br>\n<br>\n~~~</p>\n"),
    ("-", "<p>-</p>\n"),
    ("- -\n  +", "<p>- -<br>\n  +</p>\n"),
    ("1.", "<p>1.</p>\n"),
    ("[](https://x.example)", '<p>[](<a href="https://x.example">https://x.example</a>)</p>\n'),
]  # fmt: skip
BARE = [
    ("https://x.example/a_b_c*d*e", "https://x.example/a_b_c*d*e", ""),
    ("https://x.example/__init__.py,", "https://x.example/__init__.py", ","),
    ("https://x.example/a_(b)_c.", "https://x.example/a_(b)_c", "."),
    ("https://x.example/a(b))", "https://x.example/a(b)", ")"),
    ("https://x.example/?a=1&b=%20&c[]=2#d;", "https://x.example/?a=1&b=%20&c[]=2#d", ";"),
    ("https://x.example/a&amp;", "https://x.example/a", "&amp;"),
    ("https://x.example/~a~/b!?", "https://x.example/~a~/b", "!?"),
    ("HTTP://X.example:8080", "HTTP://X.example:8080", ""),
    ("http://localhost/a", "http://localhost/a", ""),
    ("http://[::1]:80/a", "http://[::1]:80/a", ""),
    ("https://bücher.example/ü", "https://bücher.example/ü", ""),
    ("https://x.example/a`b`", "https://x.example/a", "`b`"),
    ("https://x.example/a|b", "https://x.example/a|b", ""),
]
REFUSED = [
    "//host", "//host/path", "/path", "logout", "#top", "?q", "./a", "../a", "http:host", "https:host/a", "http:/host", "http:///x",
    "https://", "https:///", "https://?q", "https://#a", "https://:80", "https://.", "https://..", "javascript:alert(1)", "JaVaScRiPt:alert(1)",
    "java&#115;cript:alert(1)", "javascript&colon;alert(1)", "java%73cript:alert(1)", "%6aavascript:alert(1)", "data:text/html,x", "vbscript:x",
    "file:///etc/passwd", "ftp://x.example", "tel:123", "blob:https://x.example", "view-source:https://x.example", "https://a@x.example",
    "https://a:b@x.example/", "https://x.example@y.example", "https://@x.example", "https://x.example\\@y.example", "\\\\host", "http:\\\\host",
    "https://x.example\\a", "https://%61.example", "https://x.example:99999", "https://x.example:a", "https://[::g]", "https://1.2.3.4.5",
    "https://x.example/\u202eexe", "https://x\u200b.example", "https://\uff0f\uff0fx.example/", "https://\u2100.example", "mailto:", "mailto:a", "mailto:@x.example",
    "mailto:a@", "mailto:a@b@c", "mailto://a@x.example", "\u0001javascript:x", "\u00a0https://x.example", "https://a..example",
]  # fmt: skip
SIGNS = "*_~`[](){}<>!#&|\\:;/.-+=\"'"
PIECES = [
    "a", "b1", "1. ", "7) ", " ", "\n", "\n\n", "    ", "\t", "*", "**", "__", "~~", "~", "`", "``", "\n```\n", "~~~", "```py\n", "> ", ">", "\n- ",
    "+ ", "# ", "\n---\n", "\n=\n", "***", "[", "]", "](", "(", ")", "![", "]:", "[a]: b", "<", "</b>", "<b>", "<!--", "&amp;", "&", "\\", "\\\n", "|-|-|\n",
    "https://a.b", "http://x.y/z_w_", "://", "[t](https://a.b)", "[t](<https://a.b>)", "[t](javascript:x)", "[t](https://a.b 't')", "[m](mailto:a@b.c)",
    "@", "?q=1&r=2", "é", "😀", "日本", "。", "\u00a0", "\u200b", "\u2028", "[^1]: x", "$", "^", *SIGNS,
]  # fmt: skip


def repeated(text: str) -> str:
    return (text * (CHARS // len(text) + 1))[:CHARS]


WORST = {
    "brackets": repeated("[a]["), "links begun": repeated("[a]("), "links": repeated("[a](https://a.b)"), "mailboxes": repeated("[a](mailto:a@b.c) "),
    "definitions": "[a]: " + "x" * 4000 + "\n\n" + "[a]" * 1900, "emphasis": repeated("*a **b _c "), "runs": repeated("a***b"),
    "backticks": "".join("`" * i + " " for i in range(1, 140)), "fences": repeated("```\n"), "quotes": repeated(">"), "quoted": repeated("> "),
    "lists": repeated("- "), "numbers": repeated("1. "), "lists in lists": "".join("  " * i + "- a\n" for i in range(96)),
    "lazy lines": "> " * 19 + "a\n" + "b\n" * 4900, "lines in lists": "- " * 1600 + "a\n" + "b\n" * 3000, "angles": repeated("<"), "tags": repeated("<a b='"),
    "ampersands": repeated("&"), "entities": repeated("&CounterClockwiseContourIntegral;"), "addresses": repeated("http://a.b "),
    "addresses in a row": repeated("http://a]"), "parentheses": "http://a" + "(" * 9900, "entities after": "http://a" + "&a;" * 3000,
    "semicolons": "http://a&" + "a" * 4900 + ";" * 4900,
    "a host that folds to more": "http://" + "\ufdfa" * 9900,
    "in destinations": repeated("](https://a)[x"), "tables": "|a" * 1600 + "\n" + "|-" * 1600 + "\n" + "|b\n" * 600, "escapes": repeated("\\*"),
    "tildes": repeated("~a ~~b "), "underlined": repeated("a\n=\n"), "items": repeated("- a\n"), "lines": repeated("a\n"), "emoji": repeated("😀*é_"),
    "comments": repeated("<!--"), "spaces no one sees": repeated("\u00a0"), "all": repeated("*é_~`[<>&!😀"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "expected"), ELEMENTS)
def test_the_small_markdown_becomes_elements(content: str, expected: str) -> None:
    assert html(content) == expected
    require_nothing_lost(content, render(content))


@pytest.mark.parametrize(("content", "expected"), AS_TYPED)
def test_whatever_else_stands_as_it_was_typed(content: str, expected: str) -> None:
    assert html(content) == expected
    require_nothing_lost(content, render(content))


@pytest.mark.parametrize(("typed", "address", "rest"), BARE)
@pytest.mark.parametrize(
    ("before", "after"),
    [("", ""), ("see ", " *now*"), ("(", ")"), ("- ", "\n- a"), ("**", "**"), ("'", "'"), ("看", " ")],
)
def test_a_bare_address_is_a_link_whole(before: str, typed: str, address: str, rest: str, after: str) -> None:
    content = before + typed + after
    shown = require_nothing_lost(content, render(content))
    assert shown.links == [(address, address)]
    assert f"{address}{rest.replace('`', '')}" in shown.text


@pytest.mark.parametrize(
    "typed", ["https://a_b@c_d.example/", "https://x.example\\a_b_c", "git+https://x.example", "https://", "https://-"]
)
def test_what_only_looks_like_an_address_is_text(typed: str) -> None:
    for content in (typed, f"see {typed} now", f"*a* {typed}"):
        shown = require_nothing_lost(content, render(content))
        assert shown.links == [] and typed in shown.text


def test_addresses_in_code_are_code() -> None:
    assert html("`https://x.example/_a_`") == "<p><code>https://x.example/_a_</code></p>\n"
    assert html("```\nhttps://x.example/~\n```") == "<pre><code>https://x.example/~\n</code></pre>\n"


@pytest.mark.parametrize("address", REFUSED)
def test_a_link_that_is_refused_keeps_its_text_and_its_source(address: str) -> None:
    for content in (f"[*text*]({address}) b", f"[*text*](<{address}>) b"):
        shown = require_nothing_lost(content, render(content))
        assert shown.links == [] and "text" in shown.text and shown.elements["em"] == 1
    assert not links.is_safe(address)


@pytest.mark.parametrize(
    ("content", "lossy"),
    [
        ("# 1 priority", "<p>1 priority</p>\n"),
        ("[12:30]: lunch", ""),
        ("a\n---", "<p>a</p>\n"),
        ("a\n---", "<p>a</p>\n<hr>\n"),
        ("https://a.b/_c_", "<p>https://a.b/<em>c</em>/</p>\n"),
        ("```py\nx\n```", "<pre><code>x\n</code></pre>\n"),
        (r"\*a", "<p>*a</p>\n"),
        ("&amp;", "<p>&amp;</p>\n"),
        ("**a**", "<p><em>a</em></p>\n"),
        ("a b", "<p>b a</p>\n"),
        ("a", "<p>aa</p>\n"),
        ("[a](b)", "<p>a</p>\n"),
        ("1. a", "<p>a</p>\n"),
        ("> a", "<p>a</p>\n"),
        ("<b>a</b>", "<p><b>a</b></p>\n"),
    ],
)
def test_the_judge_sees_what_is_lost(content: str, lossy: str) -> None:
    with pytest.raises(AssertionError):
        require_nothing_lost(content, lossy)


texts = st.lists(
    st.one_of(st.sampled_from(PIECES), st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=3)), max_size=40
)


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts.map("".join))
def test_no_visible_character_disappears_but_markers_of_elements(content: str) -> None:
    made = render(content)
    shown = require_nothing_lost(content, made)
    for href, _ in shown.links:
        parts = urlsplit(href)
        assert parts.scheme in ("http", "https", "mailto")
        assert parts.scheme == "mailto" or (parts.hostname and "@" not in parts.netloc)
    assert len(made.encode()) <= HTML_BYTES_PER_BYTE * len(content.encode()) + HTML_BYTES_BESIDE


@pytest.mark.parametrize("name", WORST)
def test_the_worst_messages_cost_little_and_stay_small(name: str) -> None:
    content = WORST[name]
    seconds = []
    for _ in range(3):
        started = time.thread_time()
        made = render(content)
        seconds.append(time.thread_time() - started)
    assert min(seconds) < RENDER_SECONDS_MAX
    assert len(made.encode()) <= HTML_BYTES_PER_BYTE * len(content.encode()) + HTML_BYTES_BESIDE
    require_nothing_lost(content, made)


def test_what_is_past_a_bound_is_its_escaped_text() -> None:
    deep = ">" * (markdown.NESTING_MAX + 1) + "a\n**b** <c>"
    assert render(deep) == f"<p>{'&gt;' * (markdown.NESTING_MAX + 1)}a<br>\n**b** &lt;c&gt;</p>\n"
    assert "<blockquote>" in render(">" * (markdown.NESTING_MAX - 1) + "a")
    assert "<code>" not in render("`a` " * markdown.EVENTS_MAX)
    assert "<a" not in render("https://a.b " * (markdown.ADDRESSES_MAX + 1))
    assert render("**a** \ufdd0") == "<p>**a** \ufdd0</p>\n", "our own signs are nobody else's"


@pytest.mark.parametrize(("name", "base"), [("PanicException", BaseException), ("ValueError", Exception)])
def test_a_panic_of_the_parser_ends_no_process(monkeypatch: pytest.MonkeyPatch, name: str, base: type) -> None:
    """Panics of Rust come as no `Exception`; whatever else goes wrong is told."""
    failure = type(name, (base,), {})

    class Parser:
        def events_with_range(self, source: str, *, merge_text: bool) -> list[object]:
            raise failure

    monkeypatch.setattr(markdown, "PARSER", Parser())
    if name == "PanicException":
        assert render("**a**") == "<p>**a**</p>\n"
    else:
        with pytest.raises(failure):
            render("**a**")


def test_a_long_message_of_an_ordinary_kind_is_rendered() -> None:
    paragraph = "We **agreed** on `main`, see https://ci.example.com/job/42?x=1&y=2 and [the plan](https://x.example/a_b).\n- one\n- *two*\n\n"
    content = (paragraph * 100)[:CHARS]
    shown = FileSnapshot(render(content))
    assert len(shown.links) > 150 and shown.elements["strong"] > 75 and shown.elements["ul li"] > 150


@pytest.mark.parametrize("content", ["Hello, Ada", "@ada look", "look, @ada!", "(by the way) hello", "me@example.com"])
def test_ordinary_sentences_and_mentions_are_plain(content: str) -> None:
    assert PLAIN.fullmatch(content)


@given(st.from_regex(PLAIN, fullmatch=True, alphabet="aZ9é١ @(),.;:/?!'%–-"))
@settings(max_examples=300)
def test_plain_text_is_what_the_parser_would_make_of_it(content: str) -> None:
    made = markdown.to_html(content)
    assert made is not None
    assert render(content) == CLEANER.clean(made)
