"""Pages: one environment of templates, in which every printed value is visible text and escaped."""

import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from starlette.responses import RedirectResponse, Response

from schemas.error import ErrorInfo
from services.console.markdown import rendered
from services.console.visible import shown
from services.console.visitor import Visitor
from services.console.wording import advice, worded

TEMPLATES = Path(__file__).parent / "templates"

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_KIB = 1024


@cache
def environment() -> Environment:
    """Return the templates, read once."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "ago": ago,
        "duration": duration,
        "money": lambda amount: f"${amount:,.4f}",
        "amount": lambda amount, limit: f"${amount:,.4f}" if limit == "cost_usd" else f"{amount:,}",
        "number": lambda amount: f"{amount:,}",
        "size": size,
        "utc": lambda at: at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "pretty": pretty,
        "tojson_text": as_json,
        "content": content,
        "markdown": rendered,
        "style": style,
        "worded": worded,
        "advice": advice,
    }
    made.globals |= {"link": _link, "link_to": _link_to_letter}
    return made


@pass_context
def _link(context: Context, *parts: str, **query: object) -> str:
    """Return the path of a page; of the same tenant, unless `query` names another."""
    return path(*parts, **{"tenant": context.get("tenant")} | query)


@pass_context
def _link_to_letter(context: Context, name: str, *parts: str, **query: object) -> str:
    """Return the path of a page of a dead letter."""
    return _link(context, "dead-letters", *name.split("/"), *parts, **query)


def path(*parts: str, **query: object) -> str:
    """Return a path of the console; each part is one segment of it, `query` without what is unset."""
    chosen = {name: str(value) for name, value in query.items() if value not in (None, "")}
    joined = "/" + "/".join(quote(part, safe="") for part in parts)
    return joined + (f"?{urlencode(chosen)}" if chosen else "")


def page(visitor: Visitor, template: str, status: int = 200, **values: Any) -> Response:
    """Return a page for a visitor."""
    text = _rendered(visitor, template, values)
    return visitor.keep(HTMLResponse(text, status))


def part(visitor: Visitor, template: str, **values: Any) -> bytes:
    """Return a part of a page that is written while the work is done."""
    return _rendered(visitor, template, values)


def halves(visitor: Visitor, template: str, **values: Any) -> tuple[bytes, bytes]:
    """Return the parts of a page before and after the place of its `rest`, which is written in between."""
    mark = secrets.token_hex(16)
    head, _, tail = _rendered(visitor, template, {**values, "rest": mark}).partition(mark.encode())
    return head, tail


def _rendered(visitor: Visitor, template: str, values: Mapping[str, Any]) -> bytes:
    about = {
        "tenant": visitor.tenant,
        "signed_in": visitor.key is not None,
        "author": visitor.author,
        "keyless": visitor.gateway.keyless,
        "form_token": visitor.form_token,
        "here": visitor.request.url.path,
        "now": datetime.now(UTC),
        "failure": None,
    }
    return environment().get_template(template).render({**about, **values}).encode(errors="replace")


def failure_page(visitor: Visitor, status: int, error: ErrorInfo) -> Response:
    """Return the page of a failure, with its suggested action."""
    return page(visitor, "failure.html", status, failure=error, answer=status)


def see_other(visitor: Visitor, target: str) -> Response:
    """Send the browser to another page of the console."""
    return visitor.keep(RedirectResponse(target, 303))


def ago(at: datetime, now: datetime) -> str:
    """Return the time since then, in its largest unit."""
    seconds = (now - at).total_seconds()
    return f"in {duration(-seconds)}" if seconds < 0 else f"{duration(seconds)} ago"


def duration(seconds: float) -> str:
    """Return a duration in its largest unit; short ones with a decimal."""
    for length, unit in _UNITS:
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 or not seconds else f"{seconds:.1f} s"


def size(amount: int) -> str:
    """Return a number of bytes, in its largest unit."""
    if amount < _KIB:
        return f"{amount} B"
    return f"{amount / _KIB:,.0f} KiB" if amount < _KIB**2 else f"{amount / _KIB**2:,.1f} MiB"


def style(state: str) -> str:
    """Return the suffix of the class of a state; `other` for any that is no plain word."""
    word = state.lower()
    return word if word.isascii() and word.replace("_", "").isalpha() else "other"


def pretty(text: str) -> str:
    """Return JSON with one field to a line; as it is, any other text and an object that names a field twice."""
    try:
        return json.dumps(json.loads(text, object_pairs_hook=_distinct), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def content(value: object) -> str:
    """Return the content of a message: a text as it is, parts of several kinds as JSON."""
    return value if isinstance(value, str) else as_json(value)


def as_json(value: object) -> str:
    """Return a value as JSON with one field to a line."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name occurs twice")
    return dict(pairs)
