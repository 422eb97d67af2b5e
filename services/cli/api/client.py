"""Client of the gateway's API. Every failure is a CommandError that says what to do."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from schemas.api.agents import AgentView
from schemas.api.boards import BoardView, ClaimsView, ReleaseRequest
from schemas.api.commands import (
    ApplyRequest,
    CommandAccepted,
    CommandRequest,
    DecisionRequest,
    DelegateRequest,
    FeedbackRequest,
    MessageRequest,
    ReasonedRequest,
    Released,
    SkipRequest,
    WithdrawRequest,
)
from schemas.api.costs import CostReport, TenantCosts
from schemas.api.dead_letters import (
    BatchProgress,
    BatchSelection,
    BulkDiscardRequest,
    BulkRedriveRequest,
    DeadLetterEdited,
    DeadLetterView,
    EditRequest,
    RedriveRequest,
    SearchResult,
)
from schemas.api.run_batch import RunBatchProgress, RunBatchRequest, RunBatchSelection
from schemas.api.runs import ApprovalPage, ApprovalView, JournalView, RunPage, RunSummary, RunView
from schemas.api.sessions import EndSessionRequest, SessionPage, SessionSummary, SessionView
from schemas.api.tasks import TaskAccepted
from schemas.api.topics import TopicLag
from schemas.api.trace import RunTrace, Turn, TurnPage
from schemas.dead import DeadLetterHandled
from schemas.skip import BatchSkipped
from schemas.stop import WorkStopped
from schemas.task import Attachment, Result, Task
from services.cli.api.answers import Opened, P, S, UnreachableError, body, lines_of
from services.cli.api.audit import AuditRequests
from services.cli.api.memories import MemoryRequests
from services.cli.api.paths import DEAD, SESSIONS, letter_path, run_path, session_path

SILENCE = 60.0
"""Seconds without a byte after which a stream of events is reopened."""

LARGEST_PAGE = 200

_BODIES: Mapping[str, type[CommandRequest]] = {
    "cancel": ReasonedRequest,
    "feedback": FeedbackRequest,
    "messages": MessageRequest,
    "pause": ReasonedRequest,
    "resume": CommandRequest,
    "carry-out": ApplyRequest,
    "decisions": DecisionRequest,
    "decisions/withdraw": WithdrawRequest,
    "decisions/delegate": DelegateRequest,
}
"""Body of a command for a run, by the last part of its path."""

_LETTER_BODIES: Mapping[str, type[CommandRequest]] = {"redrive": RedriveRequest, "discard": ReasonedRequest}
_BULK_BODIES: Mapping[str, type[CommandRequest]] = {"redrive": BulkRedriveRequest, "discard": BulkDiscardRequest}


class Gateway(MemoryRequests, AuditRequests):
    """A gateway, as one tenant; with tenant None for operators' requests."""

    def submit(self, task: Task, key: str) -> TaskAccepted:
        """Submit a task. Equal keys name the same run."""
        body = task.written()
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        try:
            return self._one(TaskAccepted, "POST", "/v1/tasks", content=body, headers=headers)
        except UnreachableError as lost:
            if lost.asked:
                lost.action = f"it may have been accepted: repeat the command with --key {key} to submit it only once"
            raise

    def upload(self, path: Path, name: str, media_type: str) -> Attachment:
        """Store a file in the archive and return the attachment for a task."""
        with path.open("rb") as file:
            request = {"content": file, "params": {"name": name}, "headers": {"Content-Type": media_type}}
            return self._one(Attachment, "POST", "/v1/files", **request)

    def download(self, sha256: str, path: Path) -> None:
        """Download a file of the archive to `path`, atomically."""
        draft = path.with_name(f".{path.name}.part")
        with self._open("GET", f"/v1/files/{quote(sha256, safe='')}") as response, draft.open("wb") as file:
            for chunk in response.iter_bytes():
                file.write(chunk)
        draft.replace(path)

    def run(self, run_id: str) -> RunView:
        """Return the state of a run."""
        return self._one(RunView, "GET", run_path(run_id))

    def result(self, run_id: str) -> Result:
        """Return the result of a run that has ended."""
        return self._one(Result, "GET", run_path(run_id, "result"))

    def task(self, run_id: str) -> Task:
        """Return the task of a run, as the guardrails left it."""
        return self._one(Task, "GET", run_path(run_id, "task"))

    def trace(self, run_id: str) -> RunTrace:
        """Return the work of a run so far."""
        return self._one(RunTrace, "GET", run_path(run_id, "trace"))

    def journal(self, run_id: str, handoff_id: str) -> JournalView:
        """Return the journal of the work that a handoff is an attempt at."""
        return self._one(JournalView, "GET", run_path(run_id, "journal"), params={"handoff_id": handoff_id})

    def turns(self, run_id: str, step_id: str) -> TurnPage:
        """Return the latest turns of a step, of the planner or of the reviewer."""
        return self._one(
            TurnPage, "GET", f"{run_path(run_id)}/steps/{quote(step_id, safe='')}/turns", params={"limit": "200"}
        )

    def turn(self, run_id: str, step_id: str, turn: int, **which: str) -> Turn:
        """Return the request and the reply of a turn. `which`: `thought`, `handoff_id`."""
        path = f"{run_path(run_id)}/steps/{quote(step_id, safe='')}/turns/{turn}"
        return self._one(Turn, "GET", path, params=which)

    def board(self, run_id: str, **which: str) -> BoardView:
        """Return the board of a run. `which`: `kind`, `key`, `history`."""
        return self._one(BoardView, "GET", run_path(run_id, "board"), params=which)

    def claims(self) -> ClaimsView:
        """Return the resources that runs of the tenant hold."""
        return self._one(ClaimsView, "GET", "/v1/claims")

    def release_claim(self, **order: Any) -> CommandAccepted:
        """End a claim."""
        return self._one(CommandAccepted, "POST", "/v1/claims/release", json=body(ReleaseRequest, order))

    def runs(self, filters: Mapping[str, Any], limit: int) -> RunPage:
        """Return the latest runs that match, at most `limit`, as one page."""
        found: list[RunSummary] = []
        query = {name: "true" if value is True else value for name, value in filters.items()}
        while True:
            page = self._one(
                RunPage, "GET", "/v1/runs", params=query | {"limit": min(limit - len(found), LARGEST_PAGE)}
            )
            found += page.runs
            if len(found) >= limit or page.next_cursor is None:
                return page.model_copy(update={"runs": found[:limit]})
            query["cursor"] = page.next_cursor

    def act_on_runs(self, **order: Any) -> AbstractContextManager[Opened[RunBatchSelection, RunBatchProgress]]:
        """Command all runs that match."""
        return self._batch("/v1/runs/batch", body(RunBatchRequest, order), RunBatchSelection, RunBatchProgress)

    def sessions(self, limit: int) -> list[SessionSummary]:
        """Return sessions, at most `limit`, the one with the latest turn first."""
        found: list[SessionSummary] = []
        offset: int | None = 0
        while offset is not None and len(found) < limit:
            params = {"limit": str(min(limit - len(found), LARGEST_PAGE)), "offset": str(offset)}
            page = self._one(SessionPage, "GET", SESSIONS, params=params)
            found += page.sessions
            offset = page.next_offset
        return found

    def session(self, name: str) -> SessionView:
        """Return a session with its latest turns."""
        return self._one(SessionView, "GET", session_path(name))

    def end_session(self, name: str, by: str) -> CommandAccepted:
        """End a conversation."""
        return self._one(CommandAccepted, "POST", session_path(name, "end"), json=body(EndSessionRequest, {"by": by}))

    def approvals(self) -> tuple[list[ApprovalView], list[RunSummary]]:
        """Return the questions for a person, and the waiting runs with unreadable records."""
        found: list[ApprovalView] = []
        unreadable: list[RunSummary] = []
        offset: int | None = 0
        while offset is not None:
            params = {"limit": str(LARGEST_PAGE), "offset": str(offset)}
            page = self._one(ApprovalPage, "GET", "/v1/approvals", params=params)
            found += page.approvals
            unreadable += page.unreadable
            offset = page.next_offset
        return found, unreadable

    def agents(self) -> list[AgentView]:
        """Return the agents that have announced themselves."""
        return self._many(AgentView, "GET", "/v1/agents")

    def costs(self, days: int) -> CostReport:
        """Return the costs of the tenant's last days."""
        return self._one(CostReport, "GET", "/v1/costs", params={"days": str(days)})

    def tenant_costs(self, days: int) -> TenantCosts:
        """Return the costs of all tenants that have spent."""
        return self._one(TenantCosts, "GET", "/v1/costs/tenants", params={"days": str(days)})

    def topics(self) -> list[TopicLag]:
        """Return the topics with their groups and lag."""
        return self._many(TopicLag, "GET", "/v1/topics")

    def skip(self, topic: str, partition: int, **order: Any) -> BatchSkipped:
        """Skip a batch that cannot be read."""
        path = f"/v1/topics/{quote(topic, safe='')}/partitions/{partition}/skip"
        return self._one(BatchSkipped, "POST", path, json=body(SkipRequest, order))

    def command(self, run_id: str, verb: str, **order: Any) -> CommandAccepted:
        """Send a run a command, by the last part of its path, such as `cancel` or `decisions`."""
        return self._one(CommandAccepted, "POST", run_path(run_id, verb), json=body(_BODIES[verb], order))

    def stop(self, scope: str, **order: str) -> WorkStopped:
        """Stop the work in a scope: `all`, `tenant:NAME`, `agent:NAME` or `run:ID`."""
        return self._one(WorkStopped, "PUT", f"/v1/stops/{quote(scope, safe='')}", json=body(ReasonedRequest, order))

    def start(self, scope: str) -> Released:
        """Resume the work in a scope."""
        return self._one(Released, "DELETE", f"/v1/stops/{quote(scope, safe='')}")

    def stops(self) -> list[WorkStopped]:
        """Return the stops in force."""
        return self._many(WorkStopped, "GET", "/v1/stops")

    def dead_letters(self, search: Mapping[str, str | int]) -> SearchResult:
        """Return the dead letters that match."""
        return self._one(SearchResult, "GET", DEAD, params=dict(search))

    def dead_letter(self, name: str) -> DeadLetterView:
        """Return a dead letter with its original record."""
        return self._one(DeadLetterView, "GET", letter_path(name))

    def handle(self, name: str, verb: str, **order: Any) -> DeadLetterHandled:
        """`redrive` or `discard` a dead letter."""
        path = f"{letter_path(name)}/{verb}"
        return self._one(DeadLetterHandled, "POST", path, json=body(_LETTER_BODIES[verb], order))

    def edit(self, name: str, **order: Any) -> DeadLetterEdited:
        """Redrive a dead letter with a corrected payload, or only check it."""
        return self._one(DeadLetterEdited, "POST", f"{letter_path(name)}/edit", json=body(EditRequest, order))

    def handle_many(self, verb: str, **order: Any) -> AbstractContextManager[Opened[BatchSelection, BatchProgress]]:
        """`redrive` or `discard` many."""
        return self._batch(f"{DEAD}/{verb}", body(_BULK_BODIES[verb], order), BatchSelection, BatchProgress)

    @contextmanager
    def _batch(self, path: str, order: Any, selection: type[S], outcome: type[P]) -> Iterator[Opened[S, P]]:
        """Open an answer that is a line about the selection, then a line for each outcome as it happens."""
        with self._open("POST", path, json=order) as response:
            lines = lines_of(response.iter_bytes())
            yield selection.model_validate_json(next(lines, b"")), map(outcome.model_validate_json, lines)

    @contextmanager
    def events(self, run_id: str, after: str | None) -> Iterator[Iterator[bytes]]:
        """Open the raw stream of a run's events, from the first, or from the one after `after`."""
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
        headers |= {"Last-Event-ID": after} if after else {}
        timeout = httpx.Timeout(30.0, connect=5.0, read=SILENCE)
        with self._open("GET", run_path(run_id, "events"), headers=headers, timeout=timeout) as response:
            yield response.iter_bytes()
