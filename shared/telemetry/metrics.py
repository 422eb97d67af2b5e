"""Catalogue of all metrics: name, help text, labels. docs/metrics.md is generated from here.

Labels have few values and never include a run id; traces identify the run. Counters of a message's effects are raised
once the effect is recorded, so that a redelivery does not count twice; a crash in between loses a count, never work.
"""

from prometheus_client import CollectorRegistry

from shared.telemetry.series import BoundedLabel, Registered

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_RATIOS = (0.1, 0.25, 0.5, 0.8, 0.9, 1.0)
_COUNTS = (1, 2, 3, 5, 8, 12, 20, 40, 80)
_DOLLARS = (0.001, 0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10)


class Metrics(Registered):
    """The metrics of one process. Every service exposes all of them; unused series stay empty."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.tenant, self.model, self.tool, self.error, self.task_type = (BoundedLabel() for _ in range(5))

        self._observe_runs()
        self._observe_agents()
        self._observe_messages()
        self._observe_stores()

    def _observe_runs(self) -> None:
        # --- runs (orchestrator) -------------------------------------------------------------------------------------
        self.runs_started = self._counter("waggle_runs_started_total", "Tasks accepted.", "tenant")
        self.runs_finished = self._counter(
            "waggle_runs_finished_total", "Runs finished, by final state.", "state", "tenant"
        )
        self.run_seconds = self._histogram(
            "waggle_run_duration_seconds", "Run duration, from accepting the task to the end.", _SECONDS, "state"
        )
        self.run_handoffs = self._histogram("waggle_run_handoffs", "Handoffs per finished run.", _COUNTS)
        self.run_handoffs_highest = self._gauge(
            "waggle_run_handoffs_highest",
            "Handoffs of the running run with the most, among runs changed within 15 minutes.",
        )
        self.run_cost = self._histogram("waggle_run_cost_usd", "Cost per finished run, in US dollars.", _DOLLARS)
        self.budget_used = self._histogram(
            "waggle_run_budget_used_ratio", "Share of a budget limit used by a finished run.", _RATIOS, "limit"
        )
        self.escalations = self._counter("waggle_escalations_total", "Questions put to humans.", "about")
        self.decisions = self._counter("waggle_decisions_total", "Questions answered by humans.", "decision")
        self.feedback = self._counter(
            "waggle_feedback_total",
            "Feedback of people on ended runs, by each agent of the run: `solved` is yes or no. A person who says "
            "the same again is not counted.",
            "agent",
            "type",
            "solved",
        )
        self.evaluations = self._counter(
            "waggle_evaluations_total",
            "Automatic checks of sampled ended runs, by type of task: `passed` is yes or no.",
            "check",
            "type",
            "passed",
        )
        self.decisions_refused = self._counter(
            "waggle_decisions_refused_total",
            "Decisions rejected, by reason: `unsigned`, `unknown_signer`, `bad_signature`, `not_allowed`, "
            "`stale_signature`.",
            "reason",
        )

        # --- steps (orchestrator) ------------------------------------------------------------------------------------
        self.step_seconds = self._histogram(
            "waggle_step_duration_seconds", "Duration of a step, by agent.", _SECONDS, "agent"
        )
        self.step_failures = self._counter("waggle_step_failures_total", "Failed handoffs, by error.", "agent", "error")

        self.agent_handoffs = self._counter(
            "waggle_agent_handoffs_total",
            "Work that agents hand over to each other, by outcome: `passed`, `last` (the next agent must answer), or "
            "the error that refused it.",
            "agent",
            "outcome",
        )
        self.answers_refused = self._counter(
            "waggle_answers_refused_total",
            "Answers rejected because another agent sent them, by reason: `wrong_token` or `wrong_agent`.",
            "reason",
        )

    def _observe_agents(self) -> None:
        # --- models and tools (agents) -------------------------------------------------------------------------------
        self.model_calls = self._counter(
            "waggle_model_calls_total", "Model calls, by outcome: `ok` or an error.", "model", "agent", "outcome"
        )
        self.model_seconds = self._histogram(
            "waggle_model_call_duration_seconds", "Model call duration.", _SECONDS, "model"
        )
        self.model_requests = self._counter(
            "waggle_model_requests_total",
            "Requests to model endpoints, retries included, by outcome: `ok` or an error.",
            "endpoint",
            "outcome",
        )
        self.model_waits = self._histogram(
            "waggle_model_wait_duration_seconds",
            "Time requests were delayed by per-minute limits, `Retry-After` or an open breaker.",
            _SECONDS,
            "endpoint",
        )
        self.model_fallbacks = self._counter(
            "waggle_model_fallbacks_total", "Replies from a fallback endpoint.", "endpoint", "instead_of"
        )
        self.breaker_changes = self._counter(
            "waggle_breaker_changes_total", "Circuit breaker openings and closings.", "breaker", "state"
        )
        self.tokens = self._counter(
            "waggle_tokens_total", "Tokens used; `kind` is input or output.", "model", "agent", "tenant", "kind"
        )
        self.cost = self._counter("waggle_cost_usd_total", "Model cost in US dollars.", "model", "agent", "tenant")
        self.context_used = self._histogram(
            "waggle_context_used_ratio", "Share of the model's context window used by a prompt.", _RATIOS, "model"
        )
        self.tool_calls = self._counter(
            "waggle_tool_calls_total", "Tool calls, by outcome: `ok` or an error.", "tool", "outcome"
        )
        self.tool_repetitions = self._counter(
            "waggle_tool_repetitions_total", "Retries of a tool within one call.", "tool"
        )
        self.tool_stale = self._counter(
            "waggle_tool_stale_results_total",
            "Calls answered with an earlier result.",
            "tool",
        )
        self.tool_seconds = self._histogram(
            "waggle_tool_call_duration_seconds", "Tool call duration.", _SECONDS, "tool"
        )
        self.loops = self._counter(
            "waggle_loops_total",
            "Loops of models, by kind (`same_call`, `cycle`, `nothing_new`) and outcome: the model was "
            "`told`, or `stopped`.",
            "agent",
            "kind",
            "outcome",
        )

        self.verdicts = self._counter(
            "waggle_verdicts_total",
            "Verdicts of the gate on actions: allow, ask or deny.",
            "action",
            "verdict",
            "rule",
        )
        self.model_checks = self._counter(
            "waggle_model_checks_total",
            "Verdicts of the model check on tasks, results and actions: `allow`, `ask`, `block` or `unavailable`.",
            "about",
            "verdict",
        )

        # --- MCP servers (agents with MCP tools) ---------------------------------------------------------------------
        self.mcp_losses = self._counter(
            "waggle_mcp_losses_total", "Lost or failed connections to an MCP server.", "server"
        )

    def _observe_messages(self) -> None:
        # --- gateway -------------------------------------------------------------------------------------------------
        self.refusals = self._counter(
            "waggle_gateway_refusals_total",
            "Requests rejected, by reason: `unknown_host`, `cross_site`, `no_key`, `unknown_key`, `role`, `tenant`, "
            "`bad_token`, `no_person` or `no_grant`.",
            "reason",
        )

        # --- messages (every consumer) -------------------------------------------------------------------------------
        self.delivery_seconds = self._histogram(
            "waggle_delivery_duration_seconds",
            "Time from starting on a record until its outputs are published.",
            _SECONDS,
            "topic",
        )
        self.parked = self._counter(
            "waggle_parked_total",
            "Records parked because an operator has stopped their work.",
            "topic",
        )
        self.retries = self._counter("waggle_retries_total", "Records scheduled for a retry.", "topic", "error")
        self.dead_letters = self._counter("waggle_dead_letters_total", "Records dead-lettered.", "topic", "error")
        self.outages = self._counter(
            "waggle_outages_total", "Deliveries delayed because a shared dependency was unavailable.", "topic"
        )

        self.forgotten_records = self._counter(
            "waggle_forgotten_records_total", "Deliveries dropped because their run was forgotten.", "topic"
        )

        # --- timers (timekeeper) -------------------------------------------------------------------------------------
        self.timers_waiting = self._gauge("waggle_timers_waiting", "Timers waiting to be due.")
        self.timers_fired = self._counter("waggle_timers_fired_total", "Timers fired.")
        self.stray_timers = self._counter("waggle_stray_timers_total", "Timers of runs unknown to the blackboard.")
        self.timer_lateness = self._histogram(
            "waggle_timer_lateness_seconds", "Delay between a timer's due time and its firing.", _SECONDS
        )

        # --- notifications (notifier) --------------------------------------------------------------------------------
        self.notifications_sent = self._counter(
            "waggle_notifications_sent_total", "Letters that a channel accepted.", "channel", "about"
        )
        self.notifications_failed = self._counter(
            "waggle_notifications_failed_total", "Attempts at a letter that failed.", "channel", "error"
        )
        self.notification_seconds = self._histogram(
            "waggle_notification_seconds", "Time from an occasion until a channel accepted its letter.", _SECONDS
        )
        self.unobserved = self._counter(
            "waggle_records_unobserved_total", "Records that could not be observed, and were passed over.", "topic"
        )

    def _observe_stores(self) -> None:
        # --- boards (agents) -----------------------------------------------------------------------------------------
        self.board_posts = self._counter(
            "waggle_board_posts_total",
            "Posts of agents on boards, by outcome: `posted`, `conflict` or `refused`.",
            "kind",
            "outcome",
        )
        self.recalls = self._counter(
            "waggle_recalls_total",
            "Recalls of memories, for the `brief` of a step or by the `tool`: `found`, `nothing` or `unavailable`.",
            "where",
            "outcome",
        )
        # --- memories (memory) ---------------------------------------------------------------------------------------
        self.memories = self._counter(
            "waggle_memories_total",
            "Records of memories, by outcome: `kept`, `known`, `outdated` or `refused`, of candidates with "
            "`_candidate`; `forgotten`; `expired`, which are forgotten, too.",
            "outcome",
        )
        self.facts = self._counter(
            "waggle_facts_total",
            "Facts extracted from turns, by outcome: `kept`, `candidate`, `changed` (said again, confirmed, ended), or "
            "`refused_` with the reason.",
            "outcome",
        )
        self.fact_batches = self._counter(
            "waggle_fact_batches_total",
            "Batches of turns for the extraction of facts, by outcome: `read`, or, as they wait: `budget`, `failed`, "
            "`garbled`.",
            "outcome",
        )
        self.fact_tokens = self._counter("waggle_fact_tokens_total", "Tokens of the extraction of facts.")
        self.fact_turns_waiting = self._gauge(
            "waggle_fact_turns_waiting", "Turns of all tenants that wait for their facts."
        )
        self.audit_rows = self._counter("waggle_audit_rows_total", "Rows added to the audit record.")
        self.audit_lag = self._gauge(
            "waggle_audit_lag_seconds", "Time from the log to the audit record, of its latest row."
        )
        self.claims = self._counter(
            "waggle_claims_total", "Claims on resources, by outcome: `held`, `refused` or `released`.", "outcome"
        )

        # --- rebuilds (orchestrator) ---------------------------------------------------------------------------------
        self.rebuilds = self._counter("waggle_rebuilds_total", "Rebuilds of the blackboard by this process.")
        self.rebuilding = self._gauge(
            "waggle_rebuild_in_progress", "1 while this process rebuilds the blackboard, else 0."
        )
