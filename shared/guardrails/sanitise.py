"""Sanitised text: invisible characters are removed, disguised ones made plain, the rest is kept.

Ordinary text is unchanged, byte for byte. Sanitising is idempotent.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Any

_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Soft hyphens, fillers, zero-width characters, direction controls, tags and variation selectors that carry bytes."""
_CONTROLS = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f"

_UNSEEN = re.compile(f"[{_INVISIBLE}{_CONTROLS}]+")
# Emoji and some scripts need joiners and presentation selectors: one at a time, between characters beyond Latin.
_LOOSE = re.compile(
    r"(?<![^\x00-\u024f])[\u200c\u200d\ufe0e\ufe0f]+|[\u200c\u200d](?![^\x00-\u024f])|"
    r"(?<=[\u200c\u200d\ufe0e\ufe0f])[\u200c\ufe0e\ufe0f]+|(?<=[\u200c\u200d])\u200d+"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_STYLED = re.compile("[\uff21-\uff3a\uff41-\uff5a\u24b6-\u24e9\U0001d400-\U0001d7ff\U0001f130-\U0001f149]{2,}")
"""Full-width, circled, squared and mathematical letters: alphabets that look different and read the same."""

_CYRILLIC = dict(zip("аеорсухіјѕԁԛԝһӏАВЕЅІЈКМНОРСТУХ", "aeopcyxijsdqwhlABESIJKMHOPCTYX", strict=True))
_GREEK = dict(zip("οανικρυτχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "oavikpytxABEZHIKMNOPTYX", strict=True))
_ALIKE = str.maketrans(_CYRILLIC | _GREEK)
_LETTERS = "".join(map(chr, _ALIKE))
_MIXED = re.compile(
    rf"(?<![^\W\d_])(?=[A-Za-z]*[{_LETTERS}])(?=[{_LETTERS}]*[A-Za-z])[A-Za-z{_LETTERS}]{{4,}}(?![^\W\d_])"
)
"""A word of four or more letters, Latin ones and lookalikes."""

_SPECIAL = re.compile(
    r"<(?=\|[a-zA-Z_]{2,40}\|>)"  # <|im_start|>, <|system|>
    r"|<(?=/?(?:antml:)?(?:tool_calls?|tool_results?|function_calls?|function_results?|function|invoke|parameter|"
    r"tool_use|tool_outputs?|system|assistant|developer|untrusted)(?:[\s>=/]))"
    r"|<(?=<SYS>>|</SYS>>)|\[(?=/?INST\])",
    re.IGNORECASE,
)
"""First character of the marks of chat templates and tool protocols."""
_PLAIN = {"<": "‹", "[": "⟦"}

_IMAGE = re.compile(r"!+(?=\[[^\]\n]{0,500}\]\(\s*<?(?:https?:|//|data:)[^)\s]{0,4000}[?#=;,][^)]{0,4000}\))")
_IMAGE_TAG = re.compile(r"<(?=img\b[^>]{0,4000}src\s*=\s*[\"']?(?:https?:|//)[^\s\"'>]{0,4000}\?)", re.IGNORECASE)

_CONTROL = re.compile(f"[{_CONTROLS}]")

# Nothing in the description may hide its end from a reader of Markdown: no escape, code, tag or bracket.
_LOCAL = r"\[[^\[\]\\`<\r\n]{0,500}\]\([\w.-]{1,255}(?:/[\w.-]{1,255}){0,20}\)"
_REMOTE_IMAGE = re.compile(rf"!+(?=\[)(?!{_LOCAL})")
_LOADING_TAG = re.compile(
    r"<(?=/?(?:img|image|picture|source|video|audio|track|i?frame|embed|object|link|style|script|svg|input|meta|base)\b)"
    # Any other tag may load by an attribute. An address is no tag, and even if taken for one it has no attribute.
    r"|<(?!(?:https?|mailto):[^\s<>=?]*(?:\?[^\s<>/\"']*)?>)(?=[a-z][^\s/<>]*(?:<|[\s/]+[^\s/>]))",
    re.IGNORECASE,
)

_LINE_END = re.compile(r"(\r\n?|\n)")


@cache
def _readers() -> tuple[Any, Any]:
    """Return two Markdown parsers: renderers may or may not read HTML in Markdown as HTML."""
    from markdown_it import MarkdownIt  # noqa: PLC0415 -- slow to import, and few texts need it

    readers = MarkdownIt("commonmark", {"html": True}), MarkdownIt("commonmark", {"html": False})
    for each in readers:
        each.core.ruler.enableOnly(["normalize", "block"])
    return readers


def unloading(text: str) -> str:
    """Make Markdown load nothing when it is rendered, because an address may carry data out.

    Images other than local files become links, tags that load something become text; fenced code is unchanged.
    """
    plain = _LOADING_TAG.sub("‹", _REMOTE_IMAGE.sub("", text))
    if plain == text:
        return text
    before, after = _LINE_END.split(text), _LINE_END.split(plain)
    for line in _fenced(plain):
        after[2 * line] = before[2 * line]
    return "".join(after)


def _fenced(text: str) -> set[int]:
    """Return the lines that every renderer treats as fenced code."""
    return set.intersection(*(_code(reader.parse(text)) for reader in _readers()))


def _code(blocks: Sequence[Any]) -> set[int]:
    fences = [each.map for each in blocks if each.type == "fence" and each.map]
    return {line for opening, end in fences for line in range(opening + 1, end)}


def sanitised(text: str) -> str:
    """Remove disguises, marks of chat templates and tool calls, and images that carry data. Never raises."""
    text = _SPECIAL.sub(lambda match: _PLAIN[match.group()], unhidden(text))
    return _IMAGE_TAG.sub("‹", _IMAGE.sub("", text))


def unhidden(text: str) -> str:
    """Remove invisible characters, and replace disguised letters by the ones they look like."""
    if text.isascii() and not _CONTROL.search(text):
        return text
    text = _SURROGATE.sub("\ufffd", text)
    text = _UNSEEN.sub("", text)
    text = _LOOSE.sub("", text)
    text = _STYLED.sub(lambda match: unicodedata.normalize("NFKC", match.group()), text)
    return _MIXED.sub(lambda match: match.group().translate(_ALIKE), text)


def sanitised_deep(material: Any) -> Any:
    """Sanitise every text in JSON-ready data, including field names."""
    match material:
        case str():
            return sanitised(material)
        case dict():
            return {sanitised(str(name)): sanitised_deep(value) for name, value in material.items()}
        case list() | tuple():
            return [sanitised_deep(each) for each in material]
    return material


def invisible_spans(text: str) -> list[tuple[int, int]]:
    """Return the spans of invisible characters, if several in a row or of kinds that only deceive."""
    return [match.span() for match in _DECEIVING.finditer(text)]


def alike_spans(text: str) -> list[tuple[int, int]]:
    """Return the spans of words that mix Latin letters with lookalikes."""
    return [match.span() for match in _MIXED.finditer(text)]


_DECEIVING = re.compile(
    "[\u202d\u202e\U000e0020-\U000e007f\U000e0100-\U000e01ef\u2061-\u2064]+|[\u200b-\u200d\u2060\ufeff]{3,}"
    "|(?<=[A-Za-z])[\u200b-\u200d\u2060\ufeff\u115f\u1160\u3164]+(?=[A-Za-z])|[\ufe00-\ufe0f]{2,}"
)
