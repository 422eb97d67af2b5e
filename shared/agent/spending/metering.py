"""Metrics of model and tool calls, recorded where a call is made: a replay makes none."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from shared.errors import WaggleError
from shared.llm import Reply
from shared.telemetry.metrics import Metrics

OK = "ok"


@contextmanager
def metering_model(metrics: Metrics, model: str, agent: str) -> Iterator[None]:
    """Record the outcome and duration of one model call."""
    labels, outcome, began = metrics.model(model), OK, time.monotonic()
    try:
        yield
    except WaggleError as failure:
        outcome = metrics.error(failure.code)
        raise
    finally:
        metrics.model_calls.labels(labels, agent, outcome).inc()
        metrics.model_seconds.labels(labels).observe(time.monotonic() - began)


def meter_reply(metrics: Metrics, reply: Reply, agent: str, tenant: str, window: int) -> None:
    """Record the tokens and cost of a reply. `window`: size of the model's context, in tokens."""
    model, tenant = metrics.model(reply.model), metrics.tenant(tenant)
    used = {"input": reply.usage.prompt_tokens, "output": reply.usage.completion_tokens}
    for kind, tokens in used.items():
        metrics.tokens.labels(model, agent, tenant, kind).inc(tokens)
    metrics.cost.labels(model, agent, tenant).inc(reply.usage.cost_usd)
    metrics.context_used.labels(model).observe(reply.usage.prompt_tokens / window)


def meter_loop(metrics: Metrics, agent: str, kind: str, *, stopped: bool) -> None:
    """Record a detected loop. `kind`: as in `DetectedLoop`."""
    metrics.loops.labels(agent, kind, "stopped" if stopped else "told").inc()


def meter_tool(metrics: Metrics, tool: str, outcome: str, seconds: float) -> None:
    """Record one tool call. `outcome`: `ok` or an error's code."""
    name = metrics.tool(tool)
    metrics.tool_calls.labels(name, outcome if outcome == OK else metrics.error(outcome)).inc()
    metrics.tool_seconds.labels(name).observe(seconds)
