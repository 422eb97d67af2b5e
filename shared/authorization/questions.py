"""Terms of questions to people: the operator's rules for who must answer, how many, until when, and what then."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, TypeAlias

from pydantic import Field

from schemas.message import MOST_SECONDS, Amount, Slug
from schemas.plan import Risk
from schemas.question import Kind, OnExpiry, Stage, Terms
from shared.config import Strict

LONGEST_WAIT = 29 * 86_400
"""Seconds: a waiting run must be complete in `runs.log`, which is kept for 30 days (infra/topics.toml)."""

Wait: TypeAlias = Annotated[float, Field(gt=0, le=LONGEST_WAIT)]
Interval: TypeAlias = Annotated[float, Field(ge=0, le=LONGEST_WAIT)]


class Approvals(Strict):
    """Defaults for all questions; times in seconds."""

    expires: Wait
    usable: float = Field(gt=0, le=MOST_SECONDS)
    on_expiry: OnExpiry
    separate: bool
    undo: Interval
    remind: Interval


class QuestionRule(Strict):
    """Terms of the questions that match; an empty condition matches all. What it leaves out is as in `approvals`."""

    kinds: tuple[Kind, ...] = ()
    tools: tuple[str, ...] = ()
    """Patterns of tool names, such as `pay_*`."""
    agents: tuple[Slug, ...] = ()
    types: tuple[Slug, ...] = ()
    """Types of the tasks."""
    risks: tuple[Risk, ...] = ()
    money: Amount | None = None
    """Only calls that move more than this."""
    rows: Amount | None = None
    recipients: int | None = Field(None, ge=0)

    stages: tuple[Stage, ...] = Field((Stage(),), min_length=1, max_length=10)
    expires: Wait | None = None
    on_expiry: OnExpiry | None = None
    separate: bool | None = None
    undo: Interval | None = None
    remind: Interval | None = None
    escalate_after: Interval = 0
    escalate_to: tuple[Slug, ...] = ()

    def matches(self, subject: "Subject") -> bool:
        """Return true if the question is one of those it is about."""
        named = (
            (self.kinds, subject.kind),
            (self.agents, subject.agent),
            (self.types, subject.task_type),
            (self.risks, subject.risk),
        )
        above = ((self.money, subject.money), (self.rows, subject.rows), (self.recipients, subject.recipients))
        return (
            all(value in values for values, value in named if values)
            and (not self.tools or any(fnmatchcase(subject.tool, each) for each in self.tools))
            and all(value > limit for limit, value in above if limit is not None)
        )


@dataclass(frozen=True, slots=True)
class Subject:
    """The features of a question that rules can name."""

    kind: Kind
    tool: str = ""
    agent: str | None = None
    task_type: str | None = None
    risk: Risk | None = None
    moves: Mapping[str, float] = field(default_factory=dict)
    recipients: int = 0

    @property
    def money(self) -> float:
        """Money that the call moves."""
        return self.moves.get("money", 0.0)

    @property
    def rows(self) -> float:
        """Rows that the call changes."""
        return self.moves.get("rows", 0.0)


@dataclass(frozen=True, slots=True)
class QuestionTerms:
    """The terms of one question, and the seconds until it expires."""

    terms: Terms
    expires: float


def terms_of(subject: Subject, rules: tuple[QuestionRule, ...], defaults: Approvals) -> QuestionTerms:
    """Return the terms by the first rule that matches, with the defaults for all it leaves out."""
    rule = next((each for each in rules if each.matches(subject)), QuestionRule())
    stated = {name: getattr(rule, name) for name in ("on_expiry", "separate", "undo", "remind")}
    filled = {name: getattr(defaults, name) if value is None else value for name, value in stated.items()}
    terms = Terms(
        stages=list(rule.stages), escalate_after=rule.escalate_after, escalate_to=list(rule.escalate_to), **filled
    )
    return QuestionTerms(terms, rule.expires or defaults.expires)
