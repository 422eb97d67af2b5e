"""The model check of one handoff: each verdict is asked for once, journaled, and paid from the run's budget."""

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from schemas.step import DoStep, MakePlan
from shared.agent.actions import ParsedToolCall
from shared.agent.actions.checked import MODEL_CHECK, Check, refusal_of
from shared.agent.handoff_run import HandoffRun
from shared.agent.packing import ask_model
from shared.authorization import lasts
from shared.errors import RetryableError, TerminalError
from shared.guardrails import CheckPolicy, origin_in, read_policy, sanitised, sanitised_deep, wrap_error
from shared.guardrails.check import CheckVerdict, Subject, parts_of, question, stricter, verdict_in
from shared.llm import ModelRole, Reply
from shared.telemetry import agent_spans

LONGEST_REPLY = 1_024
"""Tokens of one verdict."""

LONGEST_EXCERPT, MOST_EXCERPTS = 2_000, 6
"""Characters of one text that the agent has read, and latest texts, shown with a call."""

LONGEST_SUSPICIONS = 500
"""Characters."""

_ALLOWED = CheckVerdict(reason="", verdict="allow")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """Asks the model of the role `judge`. Made only where a check is switched on."""

    handoff_run: HandoffRun

    @property
    def policy(self) -> CheckPolicy:
        """Settings of the check for this tenant."""
        handoff_run = self.handoff_run
        return read_policy(handoff_run.runtime.settings.guardrails).check_of(handoff_run.handoff.tenant)

    async def of_task(self) -> CheckVerdict:
        """Return the verdict on the task's text: for the planner, and for a step that can act."""
        handoff = self.handoff_run.handoff
        acting = isinstance(handoff, DoStep) and any(map(lasts, self.handoff_run.agent.tools))
        if not self.policy.task or not (acting or isinstance(handoff, MakePlan)):
            return _ALLOWED
        files = [each.text for each in handoff.context.attachments if each.text]
        said = [each.text for each in handoff.messages]
        about: dict[str, Any] = {"objective": handoff.task_objective or handoff.objective, "messages": said}
        about |= {"constraints": handoff.constraints, "files": files}
        about |= {"context": handoff.context.text, "data": handoff.context.data}
        return await self._of_text("task", "task", json.dumps(sanitised_deep(about), ensure_ascii=False), {})

    async def of_result(self, call: ParsedToolCall, answer: str) -> CheckVerdict:
        """Return the verdict on what a tool has answered."""
        if not self.policy.results:
            return _ALLOWED
        doing = sanitised(self.handoff_run.handoff.objective)[:LONGEST_EXCERPT]
        about = {"objective": doing, "tool": call.request.name}
        return await self._of_text("result", call.place, answer, about)

    async def of_call(self, call: ParsedToolCall) -> CheckVerdict:
        """Return the verdict on an acting call that is otherwise allowed."""
        arguments = json.dumps(sanitised_deep(call.arguments), ensure_ascii=False)
        assert call.tool is not None, "only a call of an offered tool is allowed"
        about = {
            **self._circumstances(),
            "tool": call.tool.name,
            "description": call.tool.description[:LONGEST_EXCERPT],
        }
        return await self._of_text("action", call.place, arguments, about)

    def _circumstances(self) -> dict[str, Any]:
        handoff, authorizer = self.handoff_run.handoff, self.handoff_run.authorizer
        read = [each.text for each in authorizer.results] + [each.output.answer for each in handoff.inputs]
        return {
            "task": sanitised(handoff.task_objective or handoff.objective)[:LONGEST_EXCERPT],
            "constraints": [sanitised(each)[:LONGEST_EXCERPT] for each in handoff.constraints],
            "step": sanitised(handoff.objective)[:LONGEST_EXCERPT],
            "read": [sanitised(each)[:LONGEST_EXCERPT] for each in read[-MOST_EXCERPTS:]],
            "origins": list(authorizer.taint.origins)[-MOST_EXCERPTS:],
        }

    async def recount(self, call: ParsedToolCall) -> None:
        """Count the recorded verdicts on a call that an earlier delivery has made or refused."""
        text = json.dumps(sanitised_deep(call.arguments), ensure_ascii=False)
        names = (_entry_name("action", call.place, number, text) for number, _ in enumerate(parts_of(text), 1))
        for name in names:
            if name in self.handoff_run.journal:
                await self._count(name, self.handoff_run.journal[name], replayed=True)

    async def _of_text(self, subject: Subject, place: str, text: str, about: Mapping[str, Any]) -> CheckVerdict:
        """Return the strictest verdict on the parts of a text; the first `block` ends it."""
        verdict = _ALLOWED
        for number, part in enumerate(parts_of(text), 1):
            name = _entry_name(subject, place, number, text)
            found = await self._once(name, subject, place, {**about, subject: part})
            verdict = stricter(verdict, found)
            if verdict.verdict == "block":
                break
        return verdict

    async def _once(self, name: str, subject: Subject, place: str, material: Mapping[str, Any]) -> CheckVerdict:
        """Return the recorded verdict; if there is none, ask the model and record its reply."""
        journal, replayed = self.handoff_run.journal, name in self.handoff_run.journal
        entry = await journal.once(
            name,
            lambda: self._entry(name, subject, place, material),
            of={"kind": "model_check", "try": self.handoff_run.handoff.tries},
        )
        await self._count(name, entry, replayed=replayed)
        found = verdict_in(entry["reply"]["content"]) if "reply" in entry else None
        verdict = found or self._without_verdict(entry)
        if not replayed:
            outcome = verdict.verdict if found else "unavailable"
            self.handoff_run.runtime.metrics.model_checks.labels(subject, outcome).inc()
            agent_spans.checked(subject, verdict.verdict, answered=found is not None)
        return verdict

    def _without_verdict(self, entry: Mapping[str, Any]) -> CheckVerdict:
        why = entry.get("why") or "its reply is no verdict"
        return CheckVerdict(reason=f"the model check gave no verdict: {why}"[:300], verdict=self.policy.unavailable)

    async def _entry(self, name: str, subject: Subject, place: str, material: Mapping[str, Any]) -> dict[str, Any]:
        """Return the journal entry: the model's reply, or the reason why there is none."""
        handoff_run = self.handoff_run
        about = {"subject": subject, "place": place, "try": handoff_run.handoff.tries}
        if (spent := handoff_run.budget.counter.model_calls_used_up()) is not None:
            return about | {"why": str(spent)}
        handoff_run.authorizer.before_model_call(name, ModelRole.JUDGE)
        await handoff_run.report_progress(f"checking {subject} {place}"[:200])
        try:
            reply = await self._ask(name, question(subject, material))
        except (TerminalError, RetryableError, TimeoutError) as failure:
            log.warning("model_check_unavailable", place=place, subject=subject, reason=repr(failure))
            return about | {"asked": True, "why": str(failure)[:200] or "the model did not answer in time"}
        versions = handoff_run.agent.versions.model_copy(update={"model": reply.model})
        return about | {
            "reply": reply.model_dump(mode="json"),
            "attempt": handoff_run.budget.attempt_at(name),
            "versions": versions.model_dump(mode="json"),
        }

    async def _ask(self, name: str, messages: list[dict[str, Any]]) -> Reply:
        seconds = max(0.1, min(self.policy.seconds, (self.handoff_run.deadline - time.monotonic()) / 2))
        async with asyncio.timeout(seconds):
            return await ask_model(
                self.handoff_run,
                name,
                ModelRole.JUDGE,
                messages,
                CheckVerdict,
                longest=LONGEST_REPLY,
                within=seconds,
            )

    async def _count(self, name: str, entry: Mapping[str, Any], *, replayed: bool) -> None:
        """Count the call as one of this try, if it is. Opening the journal has counted the replayed ones already."""
        handoff_run, own = self.handoff_run, entry["try"] == self.handoff_run.handoff.tries
        if own and replayed and ("reply" in entry or "asked" in entry):
            handoff_run.authorizer.replay_model_call(name, ModelRole.JUDGE)
        if "reply" not in entry:
            return
        reply = Reply.model_validate(entry["reply"])
        await handoff_run.budget.settle_recorded(name, entry.get("attempt", ""), reply.usage, replayed=replayed)
        if own and not replayed:
            handoff_run.budget.counter.add_model_call(reply)


async def check_task(handoff_run: HandoffRun) -> None:
    """Check the task's text. Raises TerminalError `model_check` for one that is blocked."""
    found = await ModelCheck(handoff_run).of_task()
    if found.verdict == "block":
        raise TerminalError(f"the model check blocks the task: {found.reason}", code=MODEL_CHECK)
    if found.verdict == "ask":
        handoff_run.suspicions.append(f"of the task: {found.reason}")


def check_of(handoff_run: HandoffRun, call: ParsedToolCall) -> Check | None:
    """Return the check of a call; None without one."""
    check = ModelCheck(handoff_run)
    if handoff_run.suspicions:
        return _person_asked(handoff_run.suspicions)
    return partial(check.of_call, call) if check.policy.actions else None


async def recount(handoff_run: HandoffRun, call: ParsedToolCall) -> None:
    """Count the recorded verdicts on a call that an earlier delivery has made or refused."""
    if call.tool is not None and lasts(call.tool):
        await ModelCheck(handoff_run).recount(call)


async def screened_answer(handoff_run: HandoffRun, call: ParsedToolCall, answer: str) -> str:
    """Return the answer as the model may see it: without content that the check blocks."""
    check = ModelCheck(handoff_run)
    if not check.policy.results or (origin := origin_in(answer)) is None:
        return answer
    found = await check.of_result(call, answer)
    if found.verdict == "ask":
        handoff_run.suspicions.append(f"of {origin}: {found.reason}")
    if found.verdict != "block":
        return answer
    withheld = refusal_of(f"the call was answered, and its answer is withheld: {found.reason}")
    return json.dumps(wrap_error(origin, withheld.model_dump(mode="json")), ensure_ascii=False)


def _person_asked(suspicions: Sequence[str]) -> Check:
    reason = f"the model check was suspicious {'; '.join(suspicions)}"[:LONGEST_SUSPICIONS]

    async def check() -> CheckVerdict:
        return CheckVerdict(reason=reason, verdict="ask")

    return check


def _entry_name(subject: Subject, place: str, number: int, text: str) -> str:
    """Return the name of the entry: the same for the same text at the same place, and never that of a tool call."""
    digest = hashlib.sha256(json.dumps([subject, place, number, text]).encode(errors="replace")).hexdigest()
    return f"check-{subject}-{digest[:16]}"
