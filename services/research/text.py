"""Text from untrusted bytes: its charset, its title, its bounds. Everything here takes linear time."""

import codecs
import re
from dataclasses import dataclass

MAX_CHARACTERS = 5_000_000
"""Maximum characters read of one document."""

_CHARSETS = re.compile(
    r"utf[-_]?8(-sig)?|utf[-_]?16(-?[lb]e)?|utf[-_]?32|(us-)?ascii|latin[-_]?1|l1|iso[-_]?8859[-_]\d{1,2}|cp125\d"
    r"|(windows|x-cp)-?125\d|cp(437|850|852|866|874|932|949)|macroman|macintosh|koi8-[rut]|gb2312|gbk|gb18030"
    r"|big5(-?hkscs)?|(x-)?s(hift)?[-_]?jis|euc[-_]?(jp|kr|cn)|iso-2022-jp|tis-620|viscii|johab"
)


@dataclass(frozen=True, slots=True)
class Text:
    """Text of a document."""

    title: str
    text: str
    note: str | None = None
    """Note on missing text, or empty."""


def known_charset(name: str | None) -> str | None:
    """Return a charset for text; some of Python's codecs are none, and some of those are slow."""
    plain = (name or "").strip().lower()
    if not _CHARSETS.fullmatch(plain):
        return None
    try:
        return codecs.lookup(plain).name
    except LookupError:
        return None


def decoded(content: bytes, charset: str | None = None) -> str:
    """Decode by the named charset, else by the byte order marks of UTF-8 or UTF-16, else as Windows-1252.

    An unknown named charset is read as UTF-8 with errors.
    """
    known = known_charset(charset)
    guesses = [known] if known else []
    guesses.append("utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    for guess in guesses:
        try:
            return content.decode(guess)
        except UnicodeDecodeError:
            continue
    return content.decode("utf-8" if charset and not known else "cp1252", errors="replace")


def bounded(title: str, text: str, note: str | None = None) -> Text:
    """Return a text within its bounds, with a note on the cut."""
    text = text.replace("\r\n", "\n").replace("\x00", "")
    if len(text) > MAX_CHARACTERS:
        note = f"only the first {MAX_CHARACTERS:,} characters are read"
    return Text(title[:200], text[:MAX_CHARACTERS], note)


def heading(text: str) -> str | None:
    """Return the first Markdown heading near the beginning."""
    found = re.search(r"^#[ \t]+(.+)$", text[:5_000], re.MULTILINE)
    return found.group(1).strip() if found else None
