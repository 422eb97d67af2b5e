"""`python -m tests.bench.labelled > FILE`: labelled texts for `waggle guardrails measure`.

The attacks of the guardrails' tests within the result of a tool, each with its harmless twin.
"""

import json
from collections.abc import Iterator

from tests.support.guard_attacks import DISGUISES, ENCODED, IMITATIONS, ORDERS

_ABOUT = {"objective": "Summarise the page for the team.", "tool": "fetch_page"}
_PAGE = "Minutes of the meeting\n\nThe figures were accepted. {}\n\nNext meeting: Tuesday at ten."


def items() -> Iterator[dict[str, object]]:
    """Yield each attack within a page, and the page with its harmless twin."""
    for _, attack, harmless, *_ in [*ORDERS, *ENCODED, *IMITATIONS, *DISGUISES]:
        for label, text in (("attack", attack), ("honest", harmless)):
            yield {"subject": "result", "label": label, "text": _PAGE.format(text), "about": _ABOUT}


if __name__ == "__main__":
    for each in items():
        print(json.dumps(each, ensure_ascii=False))
