"""Short form of an agent's instructions, for the turns after the first."""

import re
from collections.abc import Iterator

LONG = 1_500
"""Characters of instructions that are worth shortening, and of the short form at most."""

NOTE = "(These instructions are shortened; the first turn had them whole.)"

_BINDING = re.compile(r"\b(must|never|always|only|not|no)\b", re.IGNORECASE)
"""Words of a sentence that is kept whole, as far as there is room."""

_SENTENCE = re.compile(r"(?<=[.!?])\s+")


def condensed(instructions: str, own: str = "") -> str:
    """Return the agent's own short form, or the first sentence of each paragraph and item with the binding sentences.

    Instructions that are short are returned as they are.
    """
    if own:
        return f"{own.strip()}\n\n{NOTE}"
    if len(instructions) <= LONG:
        return instructions
    kept, room = [], LONG
    for line in _lines(instructions):
        if (room := room - len(line) - 1) < 0:
            break
        kept.append(line)
    return "\n".join([*kept, "", NOTE])


def first_sentence(text: str, longest: int) -> str:
    """Return the first sentence of a text on one line, cut to a length."""
    line = _SENTENCE.split(" ".join(text[: longest * 4].split()), maxsplit=1)[0]
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _lines(instructions: str) -> Iterator[str]:
    """Yield the lines of the short form in order. Only the first line of a fenced block can be kept."""
    fenced = False
    for line in filter(None, map(str.rstrip, instructions.splitlines())):
        fence = line.lstrip().startswith("```")
        if not (fence or fenced):
            first, *others = _SENTENCE.split(line)
            yield " ".join([first, *(each for each in others if _BINDING.search(each))])
        fenced ^= fence
