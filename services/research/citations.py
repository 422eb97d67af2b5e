"""Verification of citations against the results of this step's tools and the sources of earlier steps."""

from collections.abc import Iterable
from typing import Any

from schemas.step import Findings, StepOutput
from shared.agent.actions import ToolResult
from shared.guardrails import sanitised, unwrapped


def fetched(calls: Iterable[ToolResult]) -> set[str]:
    """Return the documents and addresses that successful tool calls returned content of."""
    return {name for call in calls for name in _named(unwrapped(call.answer))}


def given(inputs: Iterable[StepOutput]) -> set[str]:
    """Return the sources of earlier steps."""
    return {_plain(source.uri) for each in inputs for source in each.output.sources}


def checked(findings: Findings, known: set[str]) -> Findings:
    """Keep only the sources that exist: others become a caveat, and confidence falls by their share."""
    kept = [source for source in findings.sources if _plain(source.uri) in known]
    invented = [source.uri for source in findings.sources if source not in kept]
    if not invented:
        return findings
    caveat = f"removed from the sources, because not found: {', '.join(invented)}"[:2_000]
    return findings.model_copy(
        update={
            "sources": kept,
            "caveats": [*findings.caveats, caveat],
            "confidence": round(findings.confidence * len(kept) / len(findings.sources), 3),
        }
    )


def _named(result: Any) -> Iterable[str]:
    """Yield the names of all search hits, or the name of the page or document."""
    for each in result if isinstance(result, list) else [result]:
        if isinstance(each, dict) and "error" not in each:
            yield from (_plain(each[key]) for key in ("document", "url") if isinstance(each.get(key), str))


def _plain(uri: str) -> str:
    """Return a name without its position in the document, in the form that models see."""
    return sanitised(uri).strip().partition("#")[0].rstrip("/")
