"""Markdown of models and tools as HTML that can do nothing: elements of a short list, without a single attribute.

Raw HTML stays text. A link is its text with the address after it; an image is its description with the address. Nothing
is loaded and nothing can be pressed. Rendering runs in the event loop: a text that would take long is shown as it is.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

from services.console.visible import visible

LONGEST = 50_000
"""Characters that are rendered; a longer text is shown as it is."""

MOST_WORK = 5_000
"""Lines, marks and cells that are rendered, in units of about 10 µs; a text of more is shown as it is."""

_LINE, _LINK = 3, 2
"""Units of work of a line; those of a link, added to its marks."""

_MARKS = "*_~[!`<&\\#"
"""Characters that may open an element within a line."""

_LINE_END = re.compile(r"\r\n?|\n")
_BLANK = re.compile(r"\n[ \t]*\n")

CACHED = 64
"""Texts whose HTML is kept: an open page shows the same answers at each live update."""

_ELEMENTS = frozenset(
    ["p", "ul", "ol", "li", "blockquote", "strong", "em", "s", "table", "thead", "tbody", "tr", "th", "td"]
)
_HEADINGS = {"h1": "h3", "h2": "h4", "h3": "h5", "h4": "h6", "h5": "h6", "h6": "h6"}
"""Headings of a text are below those of the page."""


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False, "maxNesting": 20}).enable(["table", "strikethrough"])


def rendered(text: str) -> Markup:
    """Return a text in Markdown as harmless HTML."""
    return _code(visible(text)) if len(text) > LONGEST else _rendered(text)


@lru_cache(CACHED)
def _rendered(text: str) -> Markup:
    shown = visible(_LINE_END.sub("\n", text))
    if len(shown) > LONGEST or _work(shown) > MOST_WORK:
        return _code(shown)
    return Markup("").join(_blocks(_parser().parse(shown)))


def _work(text: str) -> int:
    """Estimate the work that the text takes. A row of a table gets all columns of the table, however short it is."""
    cells = 0
    for block in _BLANK.split(text):
        lines = block.split("\n")
        columns = max(line.count("|") for line in lines)
        cells += columns * len(lines)
    return cells + _LINE * text.count("\n") + _LINK * text.count("](") + sum(map(text.count, _MARKS))


def _blocks(tokens: Sequence[Token]) -> Iterator[Markup]:
    for token in tokens:
        if token.type == "inline":
            yield from _inline(token.children or [])
        elif token.type in ("fence", "code_block", "html_block"):
            yield _code(visible(token.content))
        elif token.type == "hr":
            yield Markup("<hr>")
        elif not token.hidden:
            yield _tag(token)


def _inline(tokens: Sequence[Token]) -> Iterator[Markup]:
    addresses: list[str] = []
    for token in tokens:
        match token.type:
            case "link_open":
                addresses.append(str(token.attrGet("href") or ""))
            case "link_close":
                yield Markup(' <span class="address">({})</span>').format(addresses.pop() if addresses else "")
            case "image":
                address = str(token.attrGet("src") or "")
                yield Markup('<span class="address">[image: {} ({})]</span>').format(token.content, address)
            case "code_inline":
                yield Markup("<code>{}</code>").format(token.content)
            case "softbreak":
                yield Markup("\n")
            case "hardbreak":
                yield Markup("<br>")
            case "text" | "html_inline":
                yield escape(visible(token.content))  # an entity may name a hidden character
            case _:
                yield _tag(token)


def _tag(token: Token) -> Markup:
    """Return the tag of a token, without attributes; nothing for an element that is not on the list."""
    name = _HEADINGS.get(token.tag, token.tag if token.tag in _ELEMENTS else "")
    if not name or not token.nesting:
        return Markup("")
    return Markup(f"<{name}>" if token.nesting > 0 else f"</{name}>")  # noqa: S704 -- a name from the list


def _code(text: str) -> Markup:
    return Markup('<pre tabindex="0"><code>{}</code></pre>').format(text)
