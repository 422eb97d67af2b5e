"""Evaluating: each sampled run of the log is checked at its end, and the orchestrator is sent the results.

They are published before the record's offset is committed. After a crash in between the run is checked once more, under
the same id; the run takes the results of each of its ends once.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span
from opentelemetry.util.types import AttributeValue

from schemas.approval import RecordEvaluation
from schemas.event import CheckResult, Evaluation
from services.evaluator.checks import check_run
from services.evaluator.evidence import evidence_of
from services.evaluator.settings import Evaluating, Sample
from shared.bus import encode, publish
from shared.bus.groups import EVALUATOR
from shared.runs import Run
from shared.service import Parts
from shared.service.ended_runs import EndedRuns
from shared.telemetry import conventions as c
from shared.telemetry.propagation import context_of, workflow_context
from shared.telemetry.traces import spanning

SOURCE = f"waggle/{EVALUATOR}"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Checks the sampled runs of the log."""

    parts: Parts
    rules: Evaluating
    runs: EndedRuns

    async def watch(self, record: Any) -> None:
        """Evaluate the run that a record of the log ends, if it is sampled."""
        ended = await self.runs.follow(record)
        if ended is None or (rule := self.rules.sampled(ended.run)) is None:
            return
        run = ended.run
        with spanning(f"{c.EVALUATE} waggle", {c.RUN: run.id, c.TENANT: run.tenant}, context=_in(run)) as span:
            await self._evaluate(run, rule, span)

    async def _evaluate(self, run: Run, rule: Sample, span: Span) -> None:
        checks = check_run(await evidence_of(self.parts.redis, run), self.rules.checks)
        found = Evaluation(end=run.resumes, rules=self.rules.version, sampled=rule.name, checks=checks)
        for each in checks:
            span.add_event(c.EVALUATION_RESULT, _attributes(each))
        log.info("run_evaluated", run=run.id, sampled=rule.name, failed=[each.name for each in found.failed])
        await self._send(RecordEvaluation(run_id=run.id, tenant=run.tenant, by=EVALUATOR, evaluation=found))

    async def _send(self, message: RecordEvaluation) -> None:
        id = f"{message.run_id}/evaluation/{message.evaluation.end}"
        prefix = self.parts.settings.topic_prefix
        await publish(self.parts.broker, [encode(message, id=id, source=SOURCE, prefix=prefix, now=datetime.now(UTC))])


def _in(run: Run) -> Context:
    """Return the context of the whole run's span, so that the evaluation is part of its trace."""
    origin = context_of(run.traceparent or "")
    span = workflow_context(origin, run.id) if origin.is_valid else origin
    return trace.set_span_in_context(NonRecordingSpan(span), Context())


def _attributes(result: CheckResult) -> dict[str, AttributeValue]:
    label, score = ("pass", 1.0) if result.passed else ("fail", 0.0)
    return {
        c.GEN_AI_EVALUATION: result.name,
        c.GEN_AI_EVALUATION_LABEL: label,
        c.GEN_AI_EVALUATION_SCORE: score,
    }
