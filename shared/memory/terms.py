"""Terms of a text for the full-text index: normalised words, and pairs of characters where a script has no spaces.

No dictionary and no configuration of a language: words of Latin script lose common English endings, which leaves words
of other languages whole or cut alike in text and query; frequent words count little because of their frequency.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator

LONGEST_TERM = 40
"""Characters of a term; the rest of a longer word is ignored."""
MOST_TERMS = 1_000
"""Distinct terms of a memory."""

K1, B = 0.9, 0.3
"""BM25: saturation of repetitions, and weight of the length. Short texts want both low; 0.9 and 0.4 are Anserini's."""
USUAL_LENGTH = 15.0
"""Terms of a memory of usual length. A constant, not the tenant's mean, so that an impact never changes."""
_SCALE = 100

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_RUN = re.compile(f"[{_UNSPACED}]+|[^\\W_{_UNSPACED}]+(?:['’][^\\W_{_UNSPACED}]+)*")
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_CONTRACTED = re.compile(r"(?:n['’]t|['’](?:s|m|d|t|re|ve|ll))$")

_STOP_WORDS = (
    "a an the and or but if of at by for with about to from in on is are was were be been being am do does did doing "
    "has have had having i you he she it we they me him her us them my your his its our their this that these those "
    "what which who whom whose when where why how can could will would should may might must so than too very not no "
    "as into during"
)
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""English words without content, dropped where a text has others."""

_SIMPLE = (("sses", "ss"), ("ies", "y"), ("ied", "y"))
_ENDING_LIST = (
    "ational ization fulness iveness ousness ments ings ingly edly ation ment ness tion ing ed er est ly al ive ful "
    "ous ion e"
)
_ENDINGS = tuple(_ENDING_LIST.split())
_DOUBLING = frozenset(("ing", "ed", "er", "est"))
_VOWEL = re.compile("[aeiouy]")


def words(text: str) -> Iterator[str]:
    """Yield the words of a text, without case, accents and contractions; runs of unspaced script stay whole."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    kept = unicodedata.normalize("NFC", "".join(each for each in plain if not _is_accent(each)))
    for run in _RUN.findall(kept):
        word = _CONTRACTED.sub("", run).replace("'", "").replace("’", "")
        if word:
            yield word[:LONGEST_TERM] if not _IS_UNSPACED.match(word) else word


def _is_accent(character: str) -> bool:
    """True for accents on letters of alphabets, not for voicing marks of Japanese or vowels of Indian scripts."""
    return "\u0300" <= character <= "\u036f"


def terms(text: str) -> list[str]:
    """Return the terms of a text in order, with repetitions."""
    everything = list(words(text))
    telling = [word for word in everything if word not in STOP_WORDS]
    return [term for word in telling or everything for term in _terms_of(word)]


def query_terms(text: str) -> tuple[str, ...]:
    """Return the distinct terms of a query: of unspaced script the pairs alone, which single characters only blur."""
    found = dict.fromkeys(term for term in terms(text))
    pairs = {character for term in found if len(term) == 2 and _IS_UNSPACED.match(term) for character in term}
    return tuple(term for term in found if term not in pairs)[:MOST_TERMS]


def _terms_of(word: str) -> Iterator[str]:
    if not _IS_UNSPACED.match(word):
        yield stem(word)
        return
    yield from word
    yield from (word[at : at + 2] for at in range(len(word) - 1))


def stem(word: str) -> str:
    """Return a word without a common English ending; short words and other scripts are unchanged."""
    if len(word) <= 3 or not word.isascii():
        return word
    for ending, instead in _SIMPLE:
        if word.endswith(ending) and len(word) - len(ending) >= 2:
            return _without_ending(word[: -len(ending)] + instead)
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    return _without_ending(word)


def _without_ending(word: str) -> str:
    for ending in _ENDINGS:
        base = word.removesuffix(ending)
        if base != word and len(base) >= 3 and _VOWEL.search(base):
            return _tidied(base, ending)
    return word[:-1] + "y" if word.endswith("i") else word


def _tidied(base: str, ending: str) -> str:
    """Undo the doubling before an ending, a left-over `e`, and `i` for `y`."""
    if ending in _DOUBLING and len(base) > 3 and base[-1] == base[-2] and base[-1] not in "lsz":
        base = base[:-1]
    if base.endswith("e") and len(base) > 3:
        base = base[:-1]
    return base[:-1] + "y" if base.endswith("i") else base


def impacts(text: str) -> dict[str, int]:
    """Return each term's part of BM25, without its rarity, in hundredths: known when a memory is written."""
    found = terms(text)
    long = K1 * (1 - B + B * len(found) / USUAL_LENGTH)
    counted = Counter(found).most_common(MOST_TERMS)
    return {term: max(1, round(_SCALE * count * (K1 + 1) / (count + long))) for term, count in sorted(counted)}


def stored_terms(found: dict[str, int]) -> str:
    """Return terms and impacts as one text for a row."""
    return " ".join(f"{term}={impact}" for term, impact in found.items())


def terms_of(stored: str) -> dict[str, int]:
    """Return terms and impacts of a row."""
    pairs = (each.partition("=") for each in stored.split())
    return {term: int(impact) for term, _, impact in pairs}
