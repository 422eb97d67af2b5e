"""An agent's own question to a person: a tool that its model is offered, and `ctx.ask` for its handler.

A question is not a call: it costs nothing and changes nothing. The handoff ends with it, and resumes at its place with
the answer. The place includes a digest of the question, so that an answer is never given to another one.
"""

import json
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from schemas.error import ErrorInfo
from schemas.plan import Effect, Risk
from schemas.question import Kind
from schemas.settlement import Settlement
from shared.agent.actions import ParsedToolCall
from shared.agent.handoff_run import HandoffRun
from shared.agent.tools.identity import identity_of
from shared.authorization import Deny, sameness_of
from shared.blackboard.journal import ASKED
from shared.errors import NeedsHuman
from shared.guardrails import redacted, secrets
from shared.tools import WITHOUT_IT, Tool

NAME = "ask_person"

MOST_QUESTIONS = 5
"""Questions of one step. People are slower than models: one that asks more must decide by itself."""

_DIGITS = 8

Option: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]


class Question(BaseModel):
    """Arguments of the tool."""

    model_config = ConfigDict(extra="forbid")

    question: str = Field(
        min_length=1, max_length=2_000, description="One question, complete in itself: people see nothing else of this."
    )
    options: list[Option] = Field(
        default_factory=list, max_length=10, description="The answers to choose from, if they are few."
    )


async def _never(**_: Any) -> str:
    raise AssertionError("a question is answered by a person, not by a function")


ASK_PERSON = Tool(
    name=NAME,
    description=(
        "Ask a person and wait for the answer, which may take hours. Use it only for a decision or a fact that the "
        "task leaves open, that no tool can find, and without which the result would be wrong. Never ask for "
        "permission to call a tool: people are asked for that by themselves."
    ),
    risk=Risk.LOW,
    effect=Effect.READ,
    timeout=1.0,
    arguments=Question,
    result=TypeAdapter(str),
    run=_never,
    takes_call=False,
    local=False,
    destinations=(),
)


def place_of(call: ParsedToolCall) -> str:
    """Return the place of the question: in the journal, and among the decisions of people."""
    return f"{call.place}/{sameness_of(NAME, call.arguments)[:_DIGITS]}{ASKED}"


async def answer_of(handoff_run: HandoffRun, call: ParsedToolCall) -> str | Deny:
    """Return the answer of a person as JSON, recorded; Deny for an invalid question, or one too many.

    Raises NeedsHuman while there is none, and Stopped.
    """
    journal, authorizer, name = handoff_run.journal, handoff_run.authorizer, place_of(call)
    if name in journal:
        if handoff_run.budget.is_own(name, otherwise=True):
            authorizer.replay_question(call)
        answer: str = journal[name]
        return answer
    settled = handoff_run.handoff.settled.get(name)
    verdict = authorizer.before_question(call, settled, too_many=_too_many(handoff_run, name))
    if isinstance(verdict, Deny):
        return verdict
    if settled is None:
        raise _question(call, name)
    answer = _answer(settled)
    await journal.write(name, answer, of=identity_of(handoff_run, call))
    return answer


def text_of(answer: str) -> str | None:
    """Return the words of the person; None if the question was skipped."""
    said: str | None = json.loads(answer)["answer_of_a_person"]
    return said


def _answer(settled: Settlement) -> str:
    if settled.refused != "skip":
        return json.dumps({"answer_of_a_person": settled.answer}, ensure_ascii=False)
    note = settled.answer or f"A person skipped the question: {WITHOUT_IT}."
    return json.dumps({"answer_of_a_person": None, "note": note}, ensure_ascii=False)


def _too_many(handoff_run: HandoffRun, name: str) -> ErrorInfo | None:
    asked = {each for each in handoff_run.handoff.settled if each.endswith(ASKED)} - {name}
    if len(asked) < MOST_QUESTIONS:
        return None
    message = f"a step may ask {MOST_QUESTIONS} questions, and has asked them"
    return ErrorInfo(code="too_many_questions", message=message, suggested_action="decide by yourself, and say so")


def _question(call: ParsedToolCall, name: str) -> NeedsHuman:
    asked = Question.model_validate(call.arguments)
    options = tuple(_clean(each) for each in asked.options)
    return NeedsHuman(_clean(asked.question), options=options, call=name, kind=Kind.QUESTION)


def _clean(text: str) -> str:
    return redacted(text, secrets(text))
