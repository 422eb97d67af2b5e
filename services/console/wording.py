"""Messages of the gateway and of agents as pages show them: names as code, and advice that is about pages."""

import re

from markupsafe import Markup, escape

from services.console.visible import visible

_NAME = re.compile(r"`([^`\n]{1,300})`")
_REQUEST = re.compile(r"(?:^|[\s`])(?:GET|POST|PUT|PATCH|DELETE)\s")
_ON_PAGES = {
    "already_applied": "Open the run: its result lists the calls that were made.",
    "busy": "Reload this page in a moment.",
    "not_awaited": "Open the run: it shows its state and the open questions, if any.",
    "outcome_unknown": "Reload this page; the same order once more has no second effect.",
    "too_large": "Attach large content as a file.",
    "unknown_dead_letter": "Choose one in the list of dead letters, in any state.",
    "unknown_run": "Choose one in the list of runs; it may belong to another tenant.",
    "unknown_topic": "Choose one in the list of topics.",
}
"""Advice by error code, in place of a request to the gateway."""


def worded(text: object) -> Markup:
    """Return a message with what is between backticks as code; anything else in it is text."""
    plain = str(escape(visible(str(text)))) if text is not None else ""
    return Markup(_NAME.sub(r"<code>\1</code>", plain))  # noqa: S704 -- escaped before


def advice(action: str | None, code: str = "") -> str:
    """Return a suggested action without requests to the gateway, which are for programs; empty if nothing is left."""
    if not action or not _REQUEST.search(action):
        return action or ""
    return _ON_PAGES.get(code) or "; ".join(each for each in action.split("; ") if not _REQUEST.search(each))
