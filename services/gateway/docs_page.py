"""The API documentation page at `/docs`, rendered from `/openapi.json` without scripts or external resources.

Readers of this page have keys at hand, so it needs no exception in the content security policy.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h3 code { font-size: 1.05rem; } .method { font-weight: bold; }
table { border-collapse: collapse; } td, th { border: 1px solid #ccc; padding: .2rem .6rem; text-align: left; }
pre { background: #f6f6f6; padding: .8rem; overflow-x: auto; } summary { cursor: pointer; }
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def serve_docs(api: FastAPI) -> None:
    """Add the page to the API."""

    async def page(request: Request) -> HTMLResponse:
        return HTMLResponse(_page(api.openapi()), headers={"Content-Security-Policy": _POLICY})

    api.add_route("/docs", page, include_in_schema=False)


def _page(openapi: Mapping[str, Any]) -> str:
    info = openapi["info"]
    operations = [
        (path, method, operation) for path, methods in openapi["paths"].items() for method, operation in methods.items()
    ]
    tags = dict.fromkeys(tag for *_, operation in operations for tag in operation.get("tags", ["other"]))
    parts = [f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info.get('summary', ''))}</p>"]
    parts.append('<p>For programs: <a href="/openapi.json">/openapi.json</a></p>')
    for tag in tags:
        parts.append(f"<h2>{escape(tag)}</h2>")
        parts += [_operation(*each) for each in operations if tag in each[2].get("tags", ["other"])]
    parts.append("<h2>Schemas</h2>")
    parts += [_schema(name, schema) for name, schema in openapi.get("components", {}).get("schemas", {}).items()]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])}</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    title = f'<h3><code><span class="method">{escape(method.upper())}</span> {escape(path)}</code></h3>'
    text = f"<p><strong>{escape(operation.get('summary', ''))}</strong> {escape(operation.get('description', ''))}</p>"
    rows = "".join(_rows(operation))
    return f"{title}{text}<table><tr><th>in</th><th>name</th><th>type</th><th>meaning</th></tr>{rows}</table>"


def _rows(operation: Mapping[str, Any]) -> Iterator[str]:
    for each in operation.get("parameters", []):
        required = " (required)" if each.get("required") else ""
        yield _row(each["in"], each["name"] + required, _type(each.get("schema", {})), each.get("description", ""))
    for media_type, body in operation.get("requestBody", {}).get("content", {}).items():
        yield _row("body", media_type, _type(body.get("schema", {})), "")
    for status, answer in operation.get("responses", {}).items():
        content = answer.get("content", {})
        types = ", ".join(_type(each.get("schema", {})) or media_type for media_type, each in content.items())
        yield _row("answer", status, types, answer.get("description", ""))


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{_linked(cell)}</td>" for cell in cells) + "</tr>"


def _linked(cell: str) -> str:
    name = cell.removeprefix("#")
    return f'<a href="#{escape(name)}">{escape(name)}</a>' if cell.startswith("#") else escape(cell)


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return "#" + str(schema["$ref"]).rpartition("/")[2]
    options = [_type(each).removeprefix("#") for each in schema.get("anyOf", [])]
    return " or ".join(options) or str(schema.get("type", ""))


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    text = escape(json.dumps(schema, indent=2, ensure_ascii=False))
    return f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary><pre>{text}</pre></details>'
