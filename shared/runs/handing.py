"""Rules of handing over: how far, to whom, and when agents only pass work around.

All counts are read from the run, which is the fold of its log: no restart resets them. The first sign of trouble makes
the next agent answer; if it hands over nevertheless, the run ends with all briefs as its partial answer.
"""

from collections.abc import Iterable

from schemas import step, step_events
from schemas.brief import Brief
from schemas.budget import Budget
from schemas.error import ErrorInfo
from schemas.plan import PlannedStep
from schemas.task import Shape
from shared.runs.builder import DecisionBuilder
from shared.runs.planning import Agents, in_order
from shared.runs.run import LOOP, HandedOver, Run, StepRecord

PING_PONG = 4
"""Handoffs in a row between the same two agents: back and forth twice. Once may be a question and its answer, and twice
a correction; what two agents have not settled by then, they do not settle."""

MOST_VISITS = 4
"""Times that one agent works on a run. An agent may be consulted, corrected and asked to conclude; beyond that the work
returns to it because none concludes."""

IDLE = 3
"""Handoffs in a row without a new fact, source, file or effect. Two are usual at the start: a first agent and a
generalist pass on what they cannot judge."""

BRIEF_ALTERED = "brief_altered"
TOO_MANY_HOPS = "too_many_hops"

LEAST_TOKENS, LEAST_OUTPUT = 1_000, 256
"""Tokens of the smallest useful model call: instructions and brief with a reply, and the reply alone."""

_SUFFIX = 4
"""Characters kept free for the number in a step's id."""


def colleagues(run: Run, record: StepRecord, agents: Agents) -> list[str]:
    """Return the agents that the step may be handed over to, sorted. `agents`: those that the task may use."""
    if run.task.shape is not Shape.SWARM:
        return []
    return sorted(name for name, card in agents.items() if card.plannable and name != record.step.agent)


def why_answer(run: Run, record: StepRecord) -> str:
    """Return the reason why the step's agent must answer; empty if it may hand over."""
    if run.task.shape is not Shape.SWARM:
        return ""
    if record.must_answer:
        return record.must_answer
    if run.task.budget.steps == 1:
        return _last_of(run.task.budget)
    short = _short_of(run, calls=2)
    return f"the rest of the budget pays for one more model call at most ({short})" if short else ""


def hand_over(builder: DecisionBuilder, record: StepRecord, message: step.HandedOff) -> None:
    """Record the handoff, with the next step or with the reason of its refusal."""
    run, error = builder.run, _refusal(builder, record, message)
    added = _added(run, record, message)
    builder.record(
        step_events.StepHandedOff,
        by=message.agent,
        step_id=record.step.id,
        added=added,
        next=None if error else _next_step(run, record, message.to),
        must_answer="" if error else _must_answer(run, record, message, added),
        error=error,
        **message.model_dump(include={"to", "brief_digest", "tainted", "caveats", "seconds"}),
        **{name: getattr(message, name) for name in ("brief", "effects", "usage", "versions")},
    )


def _refusal(builder: DecisionBuilder, record: StepRecord, message: step.HandedOff) -> ErrorInfo | None:
    run, choices = builder.run, colleagues(builder.run, record, builder.agents)
    if run.task.shape is not Shape.SWARM:
        why = f"work is handed over in shape `{Shape.SWARM}` only, and this run has shape `{run.task.shape}`"
        return ErrorInfo(code="not_permitted", message=why)
    if message.to not in choices:
        why = f"`{record.step.agent}` cannot hand over to `{message.to}`; it can to: {', '.join(choices) or 'none'}"
        return ErrorInfo(code="unknown_agent", message=why)
    if why := record.must_answer or (_last_of(run.task.budget) if run.task.budget.steps == 1 else ""):
        last = len(run.steps) >= run.task.budget.steps
        action = "raise `budget.steps` of the task, or name the agent that can answer it" if last else "reword the task"
        message_ = f"`{record.step.agent}` had to answer, and handed over to `{message.to}`: {why}"
        return ErrorInfo(code=TOO_MANY_HOPS if last else LOOP, message=message_[:2_000], suggested_action=action)
    if short := _short_of(run, calls=1):
        why = f"the rest of the budget pays for no further agent ({short})"
        return ErrorInfo(code="budget_exhausted", message=why, suggested_action="raise the budget of the task")
    return None


def _next_step(run: Run, record: StepRecord, agent: str) -> PlannedStep:
    """Return the next step: the task's own objective, at the risk of the step before. The brief is material only."""
    number = len(run.steps) + 1
    while (id := f"{agent[: 64 - _SUFFIX]}-{number}") in run.steps:
        number += 1
    return PlannedStep(
        id=id, objective=run.task.objective, agent=agent, depends_on=[record.step.id], risk=record.step.risk
    )


def _must_answer(run: Run, record: StepRecord, message: step.HandedOff, added: int) -> str:
    """Return the reason why the next agent must answer; empty if it need not."""
    if len(run.steps) + 1 >= run.task.budget.steps:
        return _last_of(run.task.budget)
    return stagnation(run, record, message.to, message.brief.digest, added)


def stagnation(run: Run, record: StepRecord, to: str, digest: str, added: int) -> str:
    """Return the sign that agents only pass the work around, once this step hands over, too; empty for none."""
    steps = [each for each in in_order(run) if each is not record]
    handed = [each.handed for each in steps if each.handed is not None]
    agents = [*(each.step.agent for each in steps), record.step.agent, to]
    if any(each.digest == digest for each in handed):
        return "the same brief was handed over before"
    if len(agents) > PING_PONG and _alternates(agents[-PING_PONG - 1 :]):
        return f"{record.step.agent} and {to} have handed it to each other {PING_PONG} times in a row"
    if agents.count(to) >= MOST_VISITS:
        return f"{to} works on it for the {MOST_VISITS}th time"
    if added == 0 and len(handed) >= IDLE - 1 and not any(each.added for each in handed[1 - IDLE :]):
        return f"the last {IDLE} handoffs brought no new fact, source, file or effect"
    return ""


def _alternates(agents: list[str]) -> bool:
    return len(set(agents)) == 2 and all(agents[n] == agents[n % 2] for n in range(len(agents)))


def _last_of(budget: Budget) -> str:
    return f"it is the last of the {budget.steps} agents that `budget.steps` permits"


def _short_of(run: Run, calls: int) -> str:
    """Return the limit of the budget that has no room for so many model calls; empty if all have."""
    left = run.task.budget.less(run.usage)
    if left.model_calls < calls:
        return "model_calls"
    if left.tokens < calls * LEAST_TOKENS:
        return "tokens"
    if left.output_tokens < calls * LEAST_OUTPUT:
        return "output_tokens"
    return "cost_usd" if run.task.budget.cost_usd and not left.cost_usd else ""


def _added(run: Run, record: StepRecord, message: step.HandedOff) -> int:
    """Return the number of facts, sources, files and effects that no earlier brief of the run had."""
    known = _content(each.handed for each in run.steps.values() if each is not record)
    new = _references(message.brief) - known
    work = f"{run.id}/{record.step.id}/"
    made = sum(each.outcome == "made" and each.work_id.startswith(work) for each in run.effected)
    return len(new) + made + len(message.effects)


def _content(handed: Iterable[HandedOver | None]) -> set[tuple[str, str]]:
    return {reference for each in handed if each is not None for reference in _references(each.brief)}


def _references(brief: Brief) -> set[tuple[str, str]]:
    facts = {("fact", f"{each.name}={each.value!r}") for each in brief.facts}
    places = [*(each.uri for each in brief.sources), *(each.uri for each in brief.artefacts)]
    return facts | {("at", place) for place in places}
