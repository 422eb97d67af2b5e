"""Tokens of texts: counted by the model's own tokenizer where the settings name its file, elsewhere estimated."""

import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from shared.errors import Misconfigured

EXTRA = "the tokenizer needs the extra `tokenizers`: pip install 'waggle[tokenizers]'"


class TokenCounter(Protocol):
    """Counts the tokens of a text."""

    @property
    def estimated(self) -> bool:
        """True if the figures are estimates."""
        ...

    def count(self, text: str) -> int:
        """Return the tokens of the text."""
        ...


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimate of a model whose tokenizer is not known: a quarter of the characters, more for other alphabets.

    Characters beyond ASCII count half a token per additional byte: 1.25 tokens for a Chinese one, 0.75 for an accent.
    """

    estimated: bool = True

    def count(self, text: str) -> int:
        """Return the estimated tokens of the text."""
        more = 0 if text.isascii() else len(text.encode(errors="replace")) - len(text)
        return -(-len(text) // 4) + -(-max(0, more) // 2)


@dataclass(frozen=True, slots=True)
class FileTokenizer:
    """The tokenizer of a `tokenizer.json` file. Never downloads anything; read at the first count."""

    path: Path
    estimated: bool = False

    def count(self, text: str) -> int:
        """Return the tokens of the text."""
        return len(_loaded(self.path).encode(text, add_special_tokens=False))

    def check(self) -> None:
        """Read the file. Raises Misconfigured."""
        _loaded(self.path)


_reading = threading.Lock()


def _loaded(path: Path) -> Any:
    with _reading:
        return _read(path)


@lru_cache(maxsize=16)
def _read(path: Path) -> Any:
    """Return the tokenizer. A file may ask to cut or fill texts to some length, which would falsify the count."""
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415 -- an extra, and slow to import
    except ImportError:
        raise Misconfigured(f"{path}: {EXTRA}") from None
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as why:  # noqa: BLE001 -- the library raises bare exceptions
        raise Misconfigured(f"{path} is no tokenizer that can be read: {why}") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
