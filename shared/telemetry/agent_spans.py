"""Spans of an agent's work, its model and tool calls, with their events. Only agents load this room."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind
from opentelemetry.util.types import AttributeValue

from schemas.versions import Versions
from shared.telemetry import conventions as c
from shared.telemetry import traces
from shared.telemetry.contents import latest, set_content, set_messages, set_prompt

_at_work: ContextVar[Mapping[str, AttributeValue]] = ContextVar("at_work", default={})  # noqa: B039 -- never changed
"""Agent, step and turn at work, for the spans of model and tool calls."""


@contextmanager
def invoking_agent(
    name: str, run_id: str, step: str, handoff: str, versions: Versions, *, hop: int = 1, handed_by: str | None = None
) -> Iterator[Span]:
    """Span of an agent's work on a handoff. `handed_by`: the agent that handed the work over."""
    attributes: dict[str, AttributeValue] = {
        c.GEN_AI_OPERATION: c.INVOKE_AGENT,
        c.GEN_AI_AGENT: name,
        c.GEN_AI_CONVERSATION: run_id,
        c.RUN: run_id,
        c.STEP: step,
        c.HANDOFF: handoff,
        c.AGENT_VERSION: versions.agent,
        c.PROMPT_VERSION: versions.prompt,
        c.TOOLS_VERSION: versions.tools,
        c.HOP: hop,
        **({c.HANDED_BY: handed_by} if handed_by else {}),
    }
    at_work: dict[str, AttributeValue] = {c.GEN_AI_AGENT: name, c.STEP: step}
    if latest():
        attributes[c.GEN_AI_AGENT_VERSION] = versions.agent
        at_work[c.GEN_AI_CONVERSATION] = run_id
    before = _at_work.set(at_work)
    try:
        with traces.spanning(f"{c.INVOKE_AGENT} {name}", attributes) as span:
            yield span
    finally:
        _at_work.reset(before)


def at_turn(number: int) -> None:
    """Name the turn on the spans that follow in this agent's work."""
    _at_work.set({**_at_work.get(), c.TURN: number})


def replayed(entry: str) -> None:
    """Add the event of a turn replayed from its journal entry, without a model call."""
    trace.get_current_span().add_event(c.REPLAYED, {"waggle.entry": entry})


def posted(kind: str, key: str, version: int) -> None:
    """Add the event of a post on a run's board."""
    about: dict[str, AttributeValue] = {"waggle.board.kind": kind, "waggle.board.key": key}
    trace.get_current_span().add_event(c.POSTED, {**about, "waggle.board.version": version})


def recalled(where: str, number: int) -> None:
    """Add the event of a recall; `where`: `brief` or `tool`."""
    trace.get_current_span().add_event(c.RECALLED, {"waggle.memory.where": where, "waggle.memory.number": number})


def checked(subject: str, verdict: str, *, answered: bool) -> None:
    """Add the event of a verdict of the model check."""
    about: dict[str, AttributeValue] = {
        c.GEN_AI_EVALUATION: f"model_check_{subject}",
        c.GEN_AI_EVALUATION_LABEL: verdict,
    }
    if not answered:
        about[c.ERROR_TYPE] = "model_unavailable"
    trace.get_current_span().add_event(c.EVALUATION_RESULT, about)


@contextmanager
def chatting(
    model: str, max_tokens: int, chat: Sequence[Mapping[str, Any]], host: str | None, port: int | None
) -> Iterator[Span]:
    """Span of one model call."""
    attributes: dict[str, AttributeValue] = {
        c.GEN_AI_OPERATION: c.CHAT,
        c.GEN_AI_PROVIDER: c.OPENAI,
        c.GEN_AI_REQUEST_MODEL: model,
        c.GEN_AI_REQUEST_MAX_TOKENS: max_tokens,
        **_at_work.get(),
    }
    if host:
        attributes[c.SERVER_ADDRESS] = host
    if port:
        attributes[c.SERVER_PORT] = port
    with traces.spanning(f"{c.CHAT} {model}", attributes, SpanKind.CLIENT) as span:
        set_prompt(span, chat)
        yield span


def record_reply(span: Span, model: str, finish_reason: str, message: Mapping[str, Any]) -> None:
    """Record a model's reply."""
    span.set_attributes({c.GEN_AI_RESPONSE_MODEL: model, c.GEN_AI_FINISH_REASONS: [finish_reason]})
    ended = {"finish_reason": finish_reason} if latest() else {}
    set_messages(span, c.GEN_AI_OUTPUT_MESSAGES, [{**message, **ended}])


def record_handed_over(span: Span, to: str | None) -> None:
    """Record the agent that the work was handed over to; None if it was not."""
    if to:
        span.set_attribute(c.HANDED_TO, to)


@contextmanager
def executing_tool(name: str, call_id: str, arguments: str, *, replay: bool) -> Iterator[Span]:
    """Span of one tool call."""
    attributes: dict[str, AttributeValue] = {
        c.GEN_AI_OPERATION: c.EXECUTE_TOOL,
        c.GEN_AI_TOOL: name,
        c.GEN_AI_TOOL_TYPE: c.FUNCTION,
        c.GEN_AI_TOOL_CALL_ID: call_id,
        **_at_work.get(),
    }
    if replay:
        attributes[c.REPLAYED] = True
    with traces.spanning(f"{c.EXECUTE_TOOL} {name}", attributes) as span:
        set_content(span, c.GEN_AI_TOOL_ARGUMENTS, arguments)
        yield span
