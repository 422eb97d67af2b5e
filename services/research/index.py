"""Full-text search over documents: passages in SQLite's FTS5, ranked by BM25, re-read when files change."""

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock

from services.research.documents import Document, documents_in, text_of
from shared.tools import ToolError

PASSAGE = 1_500
"""Approximate characters of a passage, the unit of ranking, so that one good page of a long document is found."""
MAX_WORDS = 32
MOST_INDEXES = 32
"""Indexes kept at the same time: one for each tenant with folders of its own, the latest used ones."""
# Stop words: in almost every question and almost every passage.
_STOP_WORDS = frozenset(
    "a an and are at be by can did do does for from has have how i in is it many much of on or our the their there "  # noqa: SIM905 - read as prose
    "they this to us was we were what when where which who why will with you".split()
)
_SEARCH = """
SELECT document, title, start, rank, snippet(passages, 2, '', '', ' … ', 48)
FROM passages WHERE passages MATCH ? AND rank MATCH 'bm25(0, 4.0, 1.0, 0)' ORDER BY rank
"""


@dataclass(frozen=True, slots=True)
class RankedDocument:
    """A document's best passage for a query."""

    document: str
    title: str
    offset: int
    """Offset of the passage, in characters."""
    score: float
    """BM25, higher is better; comparable within one search only."""
    excerpt: str


class Index:
    """Documents of some folders, searchable together with a step's own files."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._lock = Lock()
        self._known: dict[Document, str | None] = {}
        # "" is a private temporary file of SQLite: large folders need not fit into memory.
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute(
            "CREATE VIRTUAL TABLE passages USING fts5(document UNINDEXED, title, text, start UNINDEXED,"
            " tokenize = 'porter unicode61 remove_diacritics 2')"
        )

    def search(self, query: str, limit: int, own: Iterable[Document]) -> tuple[list[RankedDocument], list[str]]:
        """Return the best documents, those with every word of the query first; and a sentence on each omission.

        `own` are documents for this search only; they take precedence over others of the same name.
        """
        own = list(own)
        with self._lock:
            left_out = self._refresh()
            self._db.execute("BEGIN")
            try:
                left_out += [why for document in own if (why := self._replace(document))]
                return self._ranked(query, limit), left_out
            finally:
                self._db.execute("ROLLBACK")

    def _refresh(self) -> list[str]:
        documents, left_out = documents_in(self._folders)
        for gone in self._known.keys() - set(documents):
            self._remove(gone.name)
            del self._known[gone]
        for document in documents:
            if document not in self._known:
                self._known[document] = self._replace(document)
        return left_out + [why for why in self._known.values() if why]

    def _remove(self, name: str) -> None:
        self._db.execute("DELETE FROM passages WHERE document = ?", (name,))

    def _replace(self, document: Document) -> str | None:
        """Index a document's text; return a note if a part could not be read."""
        self._remove(document.name)
        try:
            text = text_of(document)
        except ToolError as unreadable:
            return str(unreadable)
        rows = ((document.name, f"{text.title} {document.name}", part, start) for start, part in passages(text.text))
        self._db.execute("SAVEPOINT document")
        self._db.executemany("INSERT INTO passages VALUES (?, ?, ?, ?)", rows)
        self._db.execute("RELEASE document")
        return text.note and f"{document.name}: {text.note}"

    def _ranked(self, query: str, limit: int) -> list[RankedDocument]:
        words = phrases(query)
        found: dict[str, RankedDocument] = {}
        for operator in (" AND ", " OR ") if words else ():
            # Rows come best first, several per document: its first is its best, and the others are not fetched.
            for name, title, start, rank, excerpt in self._db.execute(_SEARCH, (operator.join(words),)):
                if len(found) == limit:
                    break
                found.setdefault(
                    name, RankedDocument(name, title.removesuffix(f" {name}"), start, round(-rank, 3), excerpt)
                )
        return list(found.values())


@lru_cache(maxsize=MOST_INDEXES)
def index_of(folders: tuple[Path, ...]) -> Index:
    """Return the index of these folders, created once per process."""
    return Index(folders)


def phrases(query: str) -> list[str]:
    """Quote the query's words as FTS5 strings, so that nothing is syntax. `INC-2041` stays a phrase."""
    words = [word for word in re.split(r"[\s,;/|()\[\]{}\"\x00]+", query) if any(map(str.isalnum, word))]
    telling = [word for word in words if word.lower().strip("?!.:'") not in _STOP_WORDS]
    return [f'"{word}"' for word in dict.fromkeys((telling or words)[:MAX_WORDS])]


def passages(text: str) -> Iterator[tuple[int, str]]:
    """Split into parts of about PASSAGE characters, each with its offset, cut at blank lines or lines if possible."""
    start = 0
    while start < len(text):
        end = min(start + PASSAGE, len(text))
        if end < len(text):
            half = start + PASSAGE // 2
            cut = max(text.rfind("\n\n", half, end), text.rfind("\n#", half, end))
            cut = cut if cut > 0 else max(text.rfind("\n", half, end), text.rfind(" ", half, end))
            end = cut if cut > 0 else end
        yield start, text[start:end]
        start = end
