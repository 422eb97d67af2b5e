"""Every metric there is: its name, what it counts, its labels. docs/metrics.md is made from here.

Labels have few values, and never a run's id: which run it was, the trace says. Counters of what follows from a message
are raised once its effect is recorded, so that a redelivery does not count twice; what is lost by a crash in between is
a figure, never work.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily

MOST_VALUES = 50
"""Values of a label that comes from outside (tenants, models, tools, error codes); further ones are all `other`."""

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_RATIOS = (0.1, 0.25, 0.5, 0.8, 0.9, 1.0)
_COUNTS = (1, 2, 3, 5, 8, 12, 20, 40, 80)
_DOLLARS = (0.001, 0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10)


class Bounded:
    """The values of a label, of which there shall not be too many."""

    def __init__(self, most: int = MOST_VALUES) -> None:
        self._known: set[str] = set()
        self._most = most

    def __call__(self, value: str) -> str:
        """The value itself, or `other`."""
        if value not in self._known and len(self._known) >= self._most:
            return "other"
        self._known.add(value)
        return value


class Metrics:
    """The metrics of one process. Each service shows all of them; those it has no part in stay empty."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, about: str, *labels: str) -> Counter:
            return Counter(name, about, labels, registry=registry)

        def histogram(name: str, about: str, buckets: Sequence[float], *labels: str) -> Histogram:
            return Histogram(name, about, labels, buckets=buckets, registry=registry)

        def gauge(name: str, about: str, *labels: str) -> Gauge:
            return Gauge(name, about, labels, registry=registry)

        self._registry = registry
        self.tenant, self.model, self.tool, self.error = Bounded(), Bounded(), Bounded(), Bounded()

        # --- runs (orchestrator) -------------------------------------------------------------------------------------
        self.runs_started = counter("waggle_runs_started_total", "Tasks taken in.", "tenant")
        self.runs_finished = counter(
            "waggle_runs_finished_total", "Runs that have ended, by the state they ended in.", "state", "tenant"
        )
        self.run_seconds = histogram(
            "waggle_run_duration_seconds", "From taking a task in to the end of its run.", _SECONDS, "state"
        )
        self.run_handoffs = histogram("waggle_run_handoffs", "Handoffs an ended run has made.", _COUNTS)
        self.run_handoffs_highest = gauge(
            "waggle_run_handoffs_highest",
            "Handoffs of the run in progress that has made the most, of those changed within 15 minutes.",
        )
        self.run_cost = histogram("waggle_run_cost_usd", "US dollars an ended run has cost.", _DOLLARS)
        self.budget_used = histogram(
            "waggle_run_budget_used_ratio", "Share of a limit that an ended run has used.", _RATIOS, "limit"
        )
        self.escalations = counter("waggle_escalations_total", "Questions asked of people.", "about")
        self.decisions = counter("waggle_decisions_total", "Questions people have answered.", "decision")
        self.decisions_refused = counter(
            "waggle_decisions_refused_total",
            "Decisions that were not obeyed, by reason: `unsigned`, `unknown_signer`, `bad_signature`, `not_allowed`, "
            "`stale_signature`.",
            "reason",
        )

        # --- steps (orchestrator) ------------------------------------------------------------------------------------
        self.step_seconds = histogram(
            "waggle_step_duration_seconds", "What an agent needed for a step.", _SECONDS, "agent"
        )
        self.step_failures = counter("waggle_step_failures_total", "Handoffs that failed, by error.", "agent", "error")

        self.answers_refused = counter(
            "waggle_answers_refused_total",
            "Answers that are not of the agent that was asked, by reason: `wrong_token` or `wrong_agent`.",
            "reason",
        )

        # --- models and tools (agents) -------------------------------------------------------------------------------
        self.model_calls = counter(
            "waggle_model_calls_total", "Model calls, by outcome: `ok` or an error.", "model", "agent", "outcome"
        )
        self.model_seconds = histogram("waggle_model_call_duration_seconds", "What a model needed.", _SECONDS, "model")
        self.model_requests = counter(
            "waggle_model_requests_total",
            "Requests to models' endpoints, each repetition counted, by outcome: `ok` or an error.",
            "endpoint",
            "outcome",
        )
        self.model_waits = histogram(
            "waggle_model_wait_duration_seconds",
            "How long requests were held back by limits a minute, `Retry-After` or an open breaker.",
            _SECONDS,
            "endpoint",
        )
        self.model_fallbacks = counter(
            "waggle_model_fallbacks_total", "Replies of an endpoint that stood in.", "endpoint", "instead_of"
        )
        self.breaker_changes = counter(
            "waggle_breaker_changes_total", "Times a circuit breaker was opened or closed.", "breaker", "state"
        )
        self.tokens = counter(
            "waggle_tokens_total", "Tokens used; `kind` is input or output.", "model", "agent", "tenant", "kind"
        )
        self.cost = counter("waggle_cost_usd_total", "US dollars spent on models.", "model", "agent", "tenant")
        self.context_used = histogram(
            "waggle_context_used_ratio", "Share of the model's context window a prompt took.", _RATIOS, "model"
        )
        self.tool_calls = counter(
            "waggle_tool_calls_total", "Tool calls, by outcome: `ok` or an error.", "tool", "outcome"
        )
        self.tool_repetitions = counter(
            "waggle_tool_repetitions_total", "Times a tool was called again within one call.", "tool"
        )
        self.tool_stale = counter(
            "waggle_tool_stale_results_total", "Earlier results that stood in for ones that could not be had.", "tool"
        )
        self.tool_seconds = histogram("waggle_tool_call_duration_seconds", "What a tool needed.", _SECONDS, "tool")
        self.loops = counter(
            "waggle_loops_total",
            "Loops of models, by what repeats (`same_call`, `cycle`, `nothing_new`) and what followed: the model was "
            "`told`, or `stopped`.",
            "agent",
            "kind",
            "outcome",
        )

        self.verdicts = counter(
            "waggle_verdicts_total", "What the gate said to actions: allow, ask or deny.", "action", "verdict", "rule"
        )

        # --- MCP servers (agents that get tools from some) -----------------------------------------------------------
        self.mcp_losses = counter(
            "waggle_mcp_losses_total", "Times an MCP server went away, or could not be connected.", "server"
        )

        # --- gateway -------------------------------------------------------------------------------------------------
        self.refusals = counter(
            "waggle_gateway_refusals_total",
            "Requests refused, by reason: `unknown_host`, `cross_site`, `no_key`, `unknown_key`, `role` or `tenant`.",
            "reason",
        )

        # --- messages (whoever consumes) -----------------------------------------------------------------------------
        self.delivery_seconds = histogram(
            "waggle_delivery_duration_seconds",
            "From beginning with a record until its outputs are published.",
            _SECONDS,
            "topic",
        )
        self.parked = counter(
            "waggle_parked_total",
            "Records that left their partition because an operator has stopped their work.",
            "topic",
        )
        self.retries = counter(
            "waggle_retries_total", "Records that left their partition to come back later.", "topic", "error"
        )
        self.dead_letters = counter("waggle_dead_letters_total", "Records that were given up.", "topic", "error")
        self.outages = counter(
            "waggle_outages_total", "Deliveries that had to wait for something everybody needs.", "topic"
        )

        # --- timers (timekeeper) -------------------------------------------------------------------------------------
        self.timers_waiting = gauge("waggle_timers_waiting", "Timers that are not due.")
        self.timers_fired = counter("waggle_timers_fired_total", "Timers that have fired.")
        self.stray_timers = counter("waggle_stray_timers_total", "Timers of runs that the blackboard does not know.")
        self.timer_lateness = histogram(
            "waggle_timer_lateness_seconds", "How much later than due a timer fired.", _SECONDS
        )

        # --- rebuilds (orchestrator) ---------------------------------------------------------------------------------
        self.rebuilds = counter("waggle_rebuilds_total", "Times this process has made the blackboard again.")
        self.rebuilding = gauge(
            "waggle_rebuild_in_progress", "1 while this process makes the blackboard again, else 0."
        )

    def watch(
        self, name: str, about: str, labels: Sequence[str], read: Callable[[], Mapping[tuple[str, ...], float]]
    ) -> None:
        """A gauge that is read when somebody asks: label values → value."""
        self._registry.register(_Watched(name, about, labels, read))


CONSUMER_LAG = ("waggle_consumer_lag", "Records behind the end of the topic that are not finished.", ("topic", "group"))
IN_FLIGHT = ("waggle_in_flight", "Records being worked on.", ("group",))
READ_AHEAD = ("waggle_read_ahead", "Records read that have not begun.", ("group",))
COMMIT_AGE = (
    "waggle_commit_age_seconds",
    "How long the offset to commit has stood still although records wait or are worked on.",
    ("topic", "group"),
)
PARTITION_HELD = (
    "waggle_partition_held",
    "1 while a partition is held at a batch that cannot be read.",
    ("topic", "partition"),
)
BLACKBOARD_WHOLE = ("waggle_blackboard_whole", "1 while the blackboard can be worked with, else 0.", ())
MCP_CONNECTED = ("waggle_mcp_connected", "1 while an MCP server is connected, else 0.", ("server",))
MCP_TOOLS = ("waggle_mcp_tools", "Tools of an MCP server that the agent is offered.", ("server",))
WATCHED = (CONSUMER_LAG, IN_FLIGHT, READ_AHEAD, COMMIT_AGE, PARTITION_HELD, BLACKBOARD_WHOLE, MCP_CONNECTED, MCP_TOOLS)
"""Gauges that are read when somebody asks: name, what it is, labels. Only services that know them show them."""


class _Watched:
    """A collector of one gauge family."""

    def __init__(
        self, name: str, about: str, labels: Sequence[str], read: Callable[[], Mapping[tuple[str, ...], float]]
    ) -> None:
        self._facts = (name, about, list(labels))
        self._read = read

    def describe(self) -> list[Any]:
        """Nothing is read before somebody asks."""
        name, about, labels = self._facts
        return [GaugeMetricFamily(name, about, labels=labels)]

    def collect(self) -> list[Any]:
        """Read now."""
        [family] = self.describe()
        for values, value in self._read().items():
            family.add_metric(list(values), value)
        return [family]
