"""Cases of a suite: the task, what the run should do, and what it should answer."""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import jsonschema
from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    model_serializer,
    model_validator,
)

from schemas.budget import Budget
from schemas.faults import fault_line
from schemas.message import Amount, JsonObject, Slug, Text
from schemas.question import Reply
from schemas.task import Shape, Task
from shared.evaluation.matchers import ExpectedCall, ForbiddenCall, Pattern, SuitePart
from shared.evaluation.sql import fault_of

Phrase = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
FileName = Annotated[str, StringConstraints(min_length=1, max_length=500)]


def _is_schema(schema: dict[str, Any]) -> dict[str, Any]:
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as wrong:
        raise ValueError(f"it is not a JSON Schema: {wrong.message}") from None
    return schema


def _is_query(query: str) -> str:
    if fault := fault_of(query):
        raise ValueError(fault)
    return query


class NumberNear(SuitePart):
    """A number that the answer has."""

    value: Amount
    within: float = Field(0.0, ge=0, le=1e300)


class AnswerCheck(SuitePart):
    """One condition on the answer."""

    contains: Phrase | None = Field(None, description="Text that it contains, in any case.")
    lacks: Phrase | None = Field(None, description="Text that it does not contain, in any case.")
    matches: Pattern | None = Field(None, description="Regular expression that is found in it.")
    number: NumberNear | None = Field(None, description="Number that it has, within a distance.")
    fits: Annotated[JsonObject, AfterValidator(_is_schema)] | None = Field(
        None, description="JSON Schema of the typed result; without one, of the JSON in the answer."
    )
    judge: Text | None = Field(None, description="Rubric by which the judge model decides.")
    sql: Annotated[Phrase, AfterValidator(_is_query)] | None = Field(
        None, description="Query of one column over the tables `run` and `calls`: each value must be true."
    )

    @model_validator(mode="after")
    def _one_condition(self) -> Self:
        if len(self.model_fields_set) != 1 or self.kind is None:
            raise ValueError("one of `contains`, `lacks`, `matches`, `number`, `fits`, `judge`, `sql` is needed")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out `sql` where there is none, so that cases keep the digests of earlier versions."""
        return {name: value for name, value in written(self).items() if name != "sql" or value is not None}

    @property
    def kind(self) -> str | None:
        """Name of the condition."""
        return next((name for name in AnswerCheck.model_fields if getattr(self, name) is not None), None)


class ExpectedQuestion(SuitePart):
    """A question to a person, and the answer it gets."""

    about: Phrase = Field(description="Text in the question, or the tool of the call it is about.")
    reply: Literal[Reply.APPROVE, Reply.RESPOND, Reply.REJECT, Reply.SKIP]
    answer: str = Field("", max_length=20_000, description="Words for the agent; `respond` needs them.")
    optional: bool = Field(False, description="The run may do without asking.")

    @model_validator(mode="after")
    def _words_for_a_response(self) -> Self:
        if self.reply is Reply.RESPOND and not self.answer.strip():
            raise ValueError("`respond` needs `answer`")
        return self


class Expectation(SuitePart):
    """Conditions on the run. A question that is not expected fails the case."""

    status: Literal["complete", "rejected", "failed", "cancelled"] = "complete"
    doubtful: bool | None = Field(None, description="If the result must say that nothing useful was found.")
    in_order: list[ExpectedCall] = Field(
        default_factory=list, max_length=100, description="Calls in this order; others may come between them."
    )
    in_any_order: list[ExpectedCall] = Field(default_factory=list, max_length=100)
    never: list[ForbiddenCall] = Field(default_factory=list, max_length=100)
    answer: list[AnswerCheck] = Field(default_factory=list, max_length=100)
    questions: list[ExpectedQuestion] = Field(default_factory=list, max_length=20)
    most_seconds: float | None = Field(None, gt=0, le=86_400)
    most_cost_usd: float | None = Field(None, ge=0, le=10_000)


class Case(SuitePart):
    """A task with what is expected of its run."""

    name: Slug
    objective: Text
    shape: Shape | None = None
    agent: Slug | None = None
    context: str | None = Field(None, max_length=100_000)
    files: list[FileName] = Field(default_factory=list, max_length=100, description="Paths from the suite's folder.")
    constraints: list[Text] = Field(default_factory=list, max_length=50)
    destinations: list[Text] = Field(default_factory=list, max_length=50)
    budget: Budget | None = None
    agents: list[Slug] | None = Field(None, min_length=1, max_length=100)
    tools: list[str] | None = Field(None, max_length=500)
    type: Slug | None = None
    dry_run: bool = False
    memory: bool = Field(
        False, description="Recall memories of earlier runs, which makes repetitions depend on another."
    )
    expect: Expectation = Expectation()

    @model_validator(mode="after")
    def _is_a_task(self) -> Self:
        try:
            self.task(Budget(), "evaluation")
        except ValidationError as wrong:
            raise ValueError(fault_line(wrong.errors()[0], Task, root="the task")) from None
        return self

    def task(self, budget: Budget, type: str) -> Task:
        """Return the task without its files; `budget` and `type` if the case has none of its own."""
        shape = self.shape or (Shape.SINGLE if self.agent else Shape.AUTO)
        given = self.model_dump(include=_OF_TASK, exclude_none=True)
        given |= {"budget": self.budget or budget, "type": self.type or type, "shape": shape}
        return Task.model_validate(given | ({"context": {"text": self.context}} if self.context else {}))

    def digest(self, suite: "Suite", files: Mapping[str, bytes]) -> str:
        """Identify the case: a result counts for another version only if this is equal."""
        contents = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
        about = [self.model_dump(mode="json"), suite.budget.model_dump(mode="json"), contents]
        if any(each.judge for each in self.expect.answer):
            about.append(suite.judge.model_dump(mode="json"))
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


_OF_TASK = {"objective", "agent", "constraints", "destinations", "agents", "tools", "dry_run", "memory"}


class Graded(SuitePart):
    """An answer that people have judged: it shows how far the judge model can be trusted."""

    rubric: Text
    answer: str = Field(max_length=100_000)
    passes: bool = Field(description="The people's verdict.")


class JudgeSettings(SuitePart):
    """The judge model: what it is asked in addition to a rubric, and the answers that it is calibrated by."""

    instructions: str = Field("", max_length=20_000)
    calibration: list[Graded] = Field(default_factory=list, max_length=500)
    least_agreement: float = Field(0.8, ge=0, le=1)


class Suite(SuitePart):
    """Cases that are run together."""

    suite: Slug
    description: str = Field("", max_length=2_000)
    budget: Budget = Field(default_factory=Budget, description="Budget of each case that has none of its own.")
    judge: JudgeSettings = JudgeSettings()
    cases: list[Case] = Field(min_length=1, max_length=1_000)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [case.name for case in self.cases]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two cases have the name `{doubled[0]}`")
        return self
