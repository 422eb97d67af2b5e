"""Ways to write a text so that it does not look like itself, and how a model that wants to reads it all the same."""

import base64
import binascii
import codecs
import html
import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache
from urllib.parse import quote, unquote

_CODES = """
.- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --..
----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----. .-.-.- .--.-. -....- ---... -..-. ..--.. -...-
"""
_MORSE = dict(zip("abcdefghijklmnopqrstuvwxyz0123456789.@-:/?=", _CODES.split(), strict=True))
_LETTERS = {code: letter for letter, code in _MORSE.items()}
_ALIKE = str.maketrans("aeopcxyij", "аеорсхуіј")
_LATIN = str.maketrans("аеорсхуіј", "aeopcxyij")
_LEET = str.maketrans("aeiost", "^€!°$+")
_UNLEET = str.maketrans("^€!°$+", "aeiost")


def _spread(text: str, made: Callable[[int], str], between: str = "") -> str:
    return between.join(made(ord(each)) for each in text)


def _morse(text: str) -> str:
    return " ".join("/" if each == " " else _MORSE[each] for each in text.casefold() if each == " " or each in _MORSE)


ENCODERS: dict[str, Callable[[str], str]] = {
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base32": lambda text: base64.b32encode(text.encode()).decode(),
    "base85": lambda text: base64.b85encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "twice base64": lambda text: base64.b64encode(base64.b64encode(text.encode())).decode(),
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "percent": lambda text: quote(text, safe=""),
    "entities": lambda text: _spread(text, lambda code: f"&#{code};"),
    "unicode escapes": lambda text: _spread(text, lambda code: f"\\u{code:04x}"),
    "character numbers": lambda text: _spread(text, str, " "),
    "binary": lambda text: _spread(text, lambda code: f"{code:08b}", " "),
    "morse": _morse,
    "backwards": lambda text: text[::-1],
    "spaced": " ".join,
    "leetspeak": lambda text: text.translate(_LEET),
    "full-width": lambda text: _spread(text, lambda code: chr(code + 0xFEE0) if 33 <= code < 127 else chr(code)),
    "look-alikes": lambda text: text.translate(_ALIKE),
    "zero-width": "\u200b".join,
    "tags": lambda text: "See below." + _spread(text, lambda code: chr(0xE0000 + code)),
}

_TOKEN = re.compile(r"[A-Za-z0-9+/_=-]{16,}")
_B85 = re.compile(r"[0-9A-Za-z!#$%&()*+;<=>?@^_`{|}~-]{16,}")
_NUMBERS = re.compile(r"(?:\d{2,3} ){8,}\d{2,3}")
_BITS = re.compile(r"(?:[01]{8} ){8,}[01]{8}")
_DOTS = re.compile(r"(?:[.-]{1,6}|/)(?: (?:[.-]{1,6}|/)){8,}")
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\\s]+")


def plain(text: str) -> str:
    """The text as it is compared: without spaces, what cannot be seen, and case."""
    tags = "".join(chr(ord(each) - 0xE0000) if 0xE0020 <= ord(each) < 0xE007F else each for each in text)
    return _UNSEEN.sub("", unicodedata.normalize("NFKC", tags)).casefold()


@lru_cache(maxsize=20_000)
def readings(text: str) -> tuple[str, ...]:
    """Readings of the text, each in the form it is compared in."""
    return tuple({plain(each) for each in (text, *_decoded(text), *_whole(text))})


def _whole(text: str) -> Iterator[str]:
    yield codecs.decode(text, "rot13")
    yield text[::-1]
    yield unquote(text)
    yield html.unescape(text)
    yield re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), text)
    yield text.translate(_LATIN)
    yield text.casefold().translate(_UNLEET)


def _decoded(text: str) -> Iterator[str]:
    for found in _TOKEN.findall(text):
        for once in _bytes(found):
            yield once
            yield from (twice for inner in _TOKEN.findall(once) for twice in _bytes(inner))
    yield from (each for found in _B85.findall(text) for each in _tried(base64.b85decode, found))
    yield from ("".join(chr(int(each)) for each in found.split()) for found in _NUMBERS.findall(text))
    yield from ("".join(chr(int(each, 2)) for each in found.split()) for found in _BITS.findall(text))
    for found in _DOTS.findall(text):
        yield "".join(_LETTERS.get(each, " ") for each in found.split())


def _bytes(token: str) -> Iterator[str]:
    padded = token + "=" * (-len(token) % 4)
    for decode in (base64.b64decode, base64.urlsafe_b64decode):
        yield from _tried(decode, padded)
    yield from _tried(base64.b32decode, token)
    yield from _tried(bytes.fromhex, token)


def _tried(decode: Callable[[str], bytes], token: str) -> Iterator[str]:
    try:
        yield decode(token).decode()
    except (ValueError, binascii.Error):
        return
