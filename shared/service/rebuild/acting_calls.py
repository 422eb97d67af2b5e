"""Calls of a run that act on outside systems, from its journals: those that were made, or may have been."""

import json
from collections.abc import Mapping
from typing import Any

from schemas.error import MAY_HAVE_HAPPENED
from shared.authorization import ALREADY_MADE
from shared.blackboard.journal import INTENT, OF, REFUSED


def acting_calls(work_id: str, entries: Mapping[str, Any]) -> dict[str, str]:
    """Return digest → place of each such call of some work."""
    calls = {}
    for name, entry in entries.items():
        acting = (entries.get(name + OF) or {}).get("acting")
        if acting and _may_have_happened(name, entry, entries):
            calls[acting["digest"]] = f"{work_id}/{name.removesuffix(INTENT)}"
    return calls


def _may_have_happened(name: str, entry: Any, entries: Mapping[str, Any]) -> bool:
    """Return True for an answer that records a call, and for an intent without an answer."""
    if entry is None or name.endswith(REFUSED):
        return False
    if name.endswith(INTENT):
        return entries.get(name.removesuffix(INTENT)) is None
    answer = json.loads(entry)
    error = answer.get("error")
    return ALREADY_MADE not in answer and (error is None or error["code"] in MAY_HAVE_HAPPENED)
