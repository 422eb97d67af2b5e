"""Markdown of models and tools as HTML that can do nothing: elements of a short list, without a single attribute.

Raw HTML stays text. A link is its text with the address after it; an image is its description with the address. Nothing
is loaded and nothing can be pressed.
"""

from collections.abc import Iterator, Sequence
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

from services.console.visible import visible

LONGEST = 200_000
"""Characters that are rendered; a longer text is shown as it is."""

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
    if len(text) > LONGEST:
        return _code(text)
    return Markup("").join(_blocks(_parser().parse(visible(text))))


def _blocks(tokens: Sequence[Token]) -> Iterator[Markup]:
    for token in tokens:
        if token.type == "inline":
            yield from _inline(token.children or [])
        elif token.type in ("fence", "code_block", "html_block"):
            yield _code(token.content)
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
                yield escape(token.content)
            case _:
                yield _tag(token)


def _tag(token: Token) -> Markup:
    """Return the tag of a token, without attributes; nothing for an element that is not on the list."""
    name = _HEADINGS.get(token.tag, token.tag if token.tag in _ELEMENTS else "")
    if not name or not token.nesting:
        return Markup("")
    return Markup(f"<{name}>" if token.nesting > 0 else f"</{name}>")  # noqa: S704 -- a name from the list


def _code(text: str) -> Markup:
    return Markup('<pre tabindex="0"><code>{}</code></pre>').format(visible(text))
