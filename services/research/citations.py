"""Whether what is cited exists: in what this step's tools returned, or among the sources of earlier steps."""

from collections.abc import Iterable
from typing import Any

from schemas.step import Findings, StepOutput
from shared.agent.actions import ToolResult
from shared.guardrails import sanitised, unwrapped


def fetched(calls: Iterable[ToolResult]) -> set[str]:
    """The documents and addresses that tools have returned something of; failed calls returned nothing."""
    return {name for call in calls for name in _named(unwrapped(call.answer))}


def given(inputs: Iterable[StepOutput]) -> set[str]:
    """The sources that earlier steps rest on."""
    return {_plain(source.uri) for each in inputs for source in each.output.sources}


def checked(findings: Findings, known: set[str]) -> Findings:
    """The findings with those sources only that exist: others become a caveat, and confidence falls by their share."""
    kept = [source for source in findings.sources if _plain(source.uri) in known]
    invented = [source.uri for source in findings.sources if source not in kept]
    if not invented:
        return findings
    caveat = f"cited and not among what was found, so removed from the sources: {', '.join(invented)}"[:2_000]
    return findings.model_copy(
        update={
            "sources": kept,
            "caveats": [*findings.caveats, caveat],
            "confidence": round(findings.confidence * len(kept) / len(findings.sources), 3),
        }
    )


def _named(result: Any) -> Iterable[str]:
    """Of a search every hit, of a page or a document its own name."""
    for each in result if isinstance(result, list) else [result]:
        if isinstance(each, dict) and "error" not in each:
            yield from (_plain(each[key]) for key in ("document", "url") if isinstance(each.get(key), str))


def _plain(uri: str) -> str:
    """Without the place in the document, and as a model was shown it."""
    return sanitised(uri).strip().partition("#")[0].rstrip("/")
