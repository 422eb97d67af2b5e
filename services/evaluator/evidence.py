"""Evidence on an ended run: its result, and the calls in its journals with what their tools returned."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.task import Result
from shared.blackboard import Client, read_journal
from shared.blackboard.journal_reader import read_works
from shared.evaluation.observed import Call, calls_by_code, calls_in
from shared.runs import Run
from shared.runs.result import result_of

LARGEST = 16 * 1_048_576
"""Characters of tools' results that are looked through; those beyond are left out, and the checks of sources and
numbers with them."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Facts about one end of a run."""

    run: Run
    result: Result
    works: Mapping[str, list[Call]] = field(default_factory=dict)
    """Calls by work id; empty if the journals are gone."""
    seen: str | None = None
    """Texts that the run had before it: its task, arguments and results of tools. None if they are not known."""

    @property
    def calls(self) -> list[Call]:
        """Calls of all works."""
        return [call for calls in self.works.values() for call in calls]


async def evidence_of(redis: Client, run: Run) -> Evidence:
    """Return the evidence on an ended run. Raises what Redis raises during an outage."""
    result, works, texts = result_of(run), dict[str, list[Call]](), _Texts(run)
    names = await read_works(redis, run.tenant, run.id)
    for name in names:
        found = await read_journal(redis, run.tenant, name)
        journal = {place: entry for place, entry in found.items() if entry is not None}  # without revoked entries
        works[name] = calls_in(_agent(run, name), journal)
        texts.add(journal)
    works[run.id] = calls_by_code(result.acting_calls)
    return Evidence(run, result, works if names else {}, texts.joined if names else None)


class _Texts:
    """The texts that a run had before it, up to a size."""

    def __init__(self, run: Run) -> None:
        self._parts = [run.task.written(), *(each.text for each in run.messages)]
        self._size = sum(map(len, self._parts))

    def add(self, journal: Mapping[str, Any]) -> None:
        for each in _texts(journal):
            self._size += len(each)
            if self._size <= LARGEST:
                self._parts.append(each)

    @property
    def joined(self) -> str | None:
        return "\n".join(self._parts) if self._size <= LARGEST else None


def _texts(journal: Mapping[str, Any]) -> Iterator[str]:
    """Yield results of tools, and the arguments of calls."""
    for name, entry in journal.items():
        place = name.rpartition("/")[2]
        if place.startswith("call-"):
            yield entry if isinstance(entry, str) else json.dumps(entry, ensure_ascii=False)
        elif place.startswith("turn-") and isinstance(entry, dict):
            yield from (str(each["arguments"]) for each in entry["reply"].get("tool_requests") or [])


def _agent(run: Run, work_id: str) -> str:
    part = work_id.removeprefix(f"{run.id}/").rpartition("/")[0]
    return run.steps[part].step.agent if part in run.steps else part.removeprefix("@")
