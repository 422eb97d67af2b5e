"""Dashboards of the swarm and of one run, with their queries."""

from infra.dashboards.panels import Json, board, choice, entry, graph, number, trace, trace_search, words
from infra.dashboards.parts import agents, kafka_and_redis
from infra.dashboards.queries import quantile, rate, within


def overview() -> Json:
    """Overview of the swarm."""
    mine = 'tenant=~"$tenant"'
    ended = "waggle_runs_finished_total"
    return board(
        "waggle-overview",
        "Waggle: swarm",
        "Success, speed and cost of tasks, and the obstacles.",
        [
            (
                4,
                [
                    number(
                        "Success rate, last hour",
                        "waggle:run_success:ratio1h",
                        "percentunit",
                        "Of COMPLETE and FAILED.",
                    ),
                    number("Runs ended", within(ended, only=mine), about="In the selected time range."),
                    number(
                        "Cost", within("waggle_cost_usd_total", only=mine), "currencyUSD", "In the selected time range."
                    ),
                    number("Dead letters", within("waggle_dead_letters_total"), bad_above=1),
                    number("Requests for human decisions", within("waggle_escalations_total")),
                    number("Services up", 'count(count by (service) (up{service!=""} == 1))'),
                ],
            ),
            [
                graph("Runs ended", {"{{state}}": rate(ended, "state", only=mine)}, "ops", stacked=True),
                graph(
                    "Success rate",
                    {"last hour": "waggle:run_success:ratio1h", "baseline, 7 days": "waggle:run_success:baseline7d"},
                    "percentunit",
                ),
                graph(
                    "From task to end",
                    {
                        "median": quantile(0.5, "waggle_run_duration_seconds"),
                        "p95": quantile(0.95, "waggle_run_duration_seconds"),
                    },
                    "s",
                ),
            ],
            [
                graph("Cost by agent", {"{{agent}}": rate("waggle_cost_usd_total", "agent", only=mine)}, "currencyUSD"),
                graph(
                    "Cost of a run",
                    {"last hour": "waggle:run_cost_usd:mean1h", "daily mean": "waggle:run_cost_usd:mean1d"},
                    "currencyUSD",
                ),
                graph(
                    "Share of its budget a run has used, p90",
                    {"{{limit}}": quantile(0.9, "waggle_run_budget_used_ratio", "limit")},
                    "percentunit",
                ),
            ],
            [
                graph(
                    "Handoffs of a run",
                    {
                        "highest in progress": "max(waggle_run_handoffs_highest)",
                        "daily mean": "waggle:run_handoffs:mean1d",
                    },
                ),
                graph(
                    "Failed handoffs",
                    {"{{agent}}: {{error}}": rate("waggle_step_failures_total", "agent", "error")},
                    "ops",
                ),
                graph(
                    "Rejected requests, decisions and answers",
                    {
                        "{{reason}}": rate("waggle_gateway_refusals_total", "reason"),
                        "decision: {{reason}}": rate("waggle_decisions_refused_total", "reason"),
                        "answer: {{reason}}": rate("waggle_answers_refused_total", "reason"),
                    },
                    "reqps",
                    about="Gateway: for host, page, key, role or tenant; orchestrator: for signature or token.",
                ),
                graph("Human decisions requested", {"{{about}}": rate("waggle_escalations_total", "about")}, "ops"),
            ],
            [
                graph(
                    "Notifications sent",
                    {"{{channel}}: {{about}}": rate("waggle_notifications_sent_total", "channel", "about")},
                    "ops",
                ),
                graph(
                    "Failed attempts at notifications",
                    {"{{channel}}: {{error}}": rate("waggle_notifications_failed_total", "channel", "error")},
                    "ops",
                ),
                graph(
                    "From an occasion to its notification, p95",
                    {"p95": quantile(0.95, "waggle_notification_seconds")},
                    "s",
                    "Without digests and quiet hours, at most 2 s.",
                ),
                graph(
                    "Memories",
                    {"{{outcome}}": rate("waggle_memories_total", "outcome")},
                    "ops",
                    "Candidates wait for a person; `outdated` and `refused` come of repeated records.",
                ),
            ],
            [
                graph(
                    "Facts",
                    {"{{outcome}}": rate("waggle_facts_total", "outcome")},
                    "ops",
                    "Sentences that the cheap model chose, and why others were refused.",
                ),
                graph("Batches of turns", {"{{outcome}}": rate("waggle_fact_batches_total", "outcome")}, "ops"),
                graph(
                    "Turns that wait for their facts",
                    {"turns": "max(waggle_fact_turns_waiting)"},
                    "short",
                    "They wait for a whole batch, for budget, or for a model.",
                ),
                graph("Tokens for facts", {"tokens": rate("waggle_fact_tokens_total")}, "short"),
            ],
            [
                graph(
                    "Share of automatic checks failed, last day",
                    {"{{check}} {{type}}": "waggle:evaluations_failed:ratio1d"},
                    "percentunit",
                ),
                graph("Rows of the audit record", {"rows": rate("waggle_audit_rows_total")}, "ops"),
                graph(
                    "From the log to the audit record",
                    {"latest row": "max(waggle_audit_lag_seconds)"},
                    "s",
                    "High while it catches up after an outage.",
                ),
            ],
        ],
        [choice("tenant", "Tenant", "label_values(waggle_runs_started_total, tenant)")],
    )


_ONE_RUN = """\
Metrics have no label for a single run; traces do. Enter a run's id: the table lists every trace that has a span with
the tag `waggle.run`; click one to show it below. In the terminal: `waggle status RUN`. The graphs show the swarm during
the selected time range."""


def one_run() -> Json:
    """Traces of one run, and the swarm at that time."""
    return board(
        "waggle-run",
        "Waggle: one run",
        "Finds the traces of a run, and shows the swarm at that time.",
        [
            (3, [words(_ONE_RUN)]),
            (
                7,
                [
                    trace_search(
                        "Traces of this run",
                        "waggle-orchestrator",
                        "waggle.run=$run",
                        "From the orchestrator's spans.",
                    )
                ],
            ),
            (18, [trace("The trace", "$trace")]),
            [
                graph(
                    "In flight at that time",
                    {"{{group}}": "sum by (group) (waggle_in_flight)"},
                    about="A run queued behind others waits here.",
                ),
                graph(
                    "Retries, meanwhile",
                    {"{{topic}}: {{error}}": rate("waggle_retries_total", "topic", "error")},
                    "ops",
                ),
                graph(
                    "Model calls, p95, at that time",
                    {"{{model}}": quantile(0.95, "waggle_model_call_duration_seconds", "model")},
                    "s",
                ),
            ],
        ],
        [entry("run", "Run"), entry("trace", "Trace")],
    )


BOARDS = {
    "swarm": overview,
    "run": one_run,
    "agents": agents,
    "kafka-redis": kafka_and_redis,
}
"""Dashboards by file name."""
