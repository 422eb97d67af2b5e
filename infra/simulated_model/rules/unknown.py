"""An agent without a rule of its own: calls one reading tool that it can fill, and answers with what it has."""

import json
import re
from typing import Any

from pydantic import BaseModel, RootModel

from infra.simulated_model.fitting import filled, named_in
from infra.simulated_model.rules.ask import Rule, ask, ask_all
from infra.simulated_model.rules.words import URL, keywords, sentence
from infra.simulated_model.situation import Brief, Situation
from infra.simulated_model.wire import Function
from schemas.fact import Fact
from schemas.step import Findings

READS = (
    "get",
    "read",
    "list",
    "search",
    "find",
    "look",
    "fetch",
    "describe",
    "query",
    "show",
    "count",
    "check",
    "convert",
)
"""Verbs that the names of reading tools begin with."""

QUOTED = re.compile(r"(?<!\w)(['\"`])(.+?)\1(?!\w)")


def answer(situation: Situation) -> Rule:
    """Return the result of the first reading tool whose arguments the objective can fill, else the known facts."""
    brief = situation.brief or Brief(objective="")
    for tool in situation.tools.values():
        arguments = _arguments(tool, brief)
        if tool.name.split("_")[0] in READS and arguments is not None:
            result = yield from ask(tool.name, **arguments)
            if result.ok:
                return _typed(situation, brief, _from_tool(tool.name, result.data), result.data)
            return _typed(situation, brief, _from_brief(brief, f"{tool.name}: {result.problem}"))
    return _typed(situation, brief, _from_brief(brief))


def settled(situation: Situation, found: Findings) -> Rule:
    """Return these findings without any call."""
    yield from ask_all()
    return _typed(situation, situation.brief or Brief(objective=""), found)


class OwnResult(RootModel[dict[str, Any]]):
    """A result in the agent's own type."""


def _typed(situation: Situation, brief: Brief, found: Findings, data: Any = None) -> BaseModel:
    """Return the findings, or their content in the result type that the request demands."""
    schema = situation.schema or Findings.model_json_schema()
    if schema.get("properties", {}).keys() == Findings.model_fields.keys():
        return found
    text = data if isinstance(data, str) else found.answer
    return OwnResult(filled(schema, found.model_dump(mode="json"), text=text, objective=brief.objective))


def _from_tool(name: str, data: Any) -> Findings:
    text = data if isinstance(data, str) else json.dumps(data, indent=2, ensure_ascii=False)
    facts = (
        [Fact(name=k, value=v) for k, v in data.items() if isinstance(v, str | int | float)]
        if isinstance(data, dict)
        else []
    )
    said = f"`{name}` says:\n\n```\n{text[:4000]}\n```"
    return Findings(
        answer=said,
        facts=facts[:20],
        sources=[],
        confidence=0.5,
        caveats=["A simulated model chose the tool by its name."],
    )


def _from_brief(brief: Brief, problem: str = "") -> Findings:
    known = "\n\n".join(step.output.answer for step in brief.earlier_steps) or brief.context.text or ""
    said = known or f"The simulated model has no rule for this objective: {sentence(brief.objective)}"
    caveats = ["A simulated model without a rule for this agent answered with what it was given."]
    return Findings(
        answer=said, facts=[], sources=[], confidence=0.3, caveats=[*caveats, *([problem] if problem else [])]
    )


def _arguments(tool: Function, brief: Brief) -> dict[str, Any] | None:
    """Return values for the required arguments, or None if the objective lacks one."""
    parts = tool.parameters.get("properties", {})
    found = {name: _value(name, parts.get(name, {}), brief) for name in tool.parameters.get("required", [])}
    return None if None in found.values() else found


def _value(name: str, schema: dict[str, Any], brief: Brief) -> Any:
    if "enum" in schema:
        return named_in(brief.objective, schema["enum"])
    if schema.get("type") in ("integer", "number"):
        number = re.search(r"-?\d+(?:\.\d+)?", brief.objective)
        kind = int if schema["type"] == "integer" else float
        return kind(float(number[0])) if number else None
    if schema.get("type") != "string":
        return None
    if "url" in name:
        return next(iter(URL.findall(brief.objective)), None)
    if name in ("file", "document", "path", "name"):
        return next((file.name for file in brief.files if file.name in brief.objective or len(brief.files) == 1), None)
    quoted = QUOTED.search(brief.objective)
    return quoted[2] if quoted else " ".join(keywords(brief.objective)[:12]) or None
