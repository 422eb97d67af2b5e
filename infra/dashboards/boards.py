"""The dashboards: what each shows, and the query behind it."""

from infra.dashboards.panels import Json, board, choice, entry, graph, number, trace, trace_search, words
from infra.dashboards.parts import agents, kafka_and_redis
from infra.dashboards.queries import quantile, rate, within


def overview() -> Json:
    """How the swarm does."""
    mine = 'tenant=~"$tenant"'
    ended = "waggle_runs_finished_total"
    return board(
        "waggle-overview",
        "Waggle: swarm",
        "Whether tasks are done, how fast, at what cost, and what stands in the way.",
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
                    number("Runs ended", within(ended, only=mine), about="In the time shown."),
                    number("Cost", within("waggle_cost_usd_total", only=mine), "currencyUSD", "In the time shown."),
                    number("Dead letters", within("waggle_dead_letters_total"), bad_above=1),
                    number("Questions to people", within("waggle_escalations_total")),
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
                    {"last hour": "waggle:run_cost_usd:mean1h", "mean of a day": "waggle:run_cost_usd:mean1d"},
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
                        "mean of a day": "waggle:run_handoffs:mean1d",
                    },
                ),
                graph(
                    "Failed handoffs",
                    {"{{agent}}: {{error}}": rate("waggle_step_failures_total", "agent", "error")},
                    "ops",
                ),
                graph(
                    "Requests, decisions and answers refused",
                    {
                        "{{reason}}": rate("waggle_gateway_refusals_total", "reason"),
                        "decision: {{reason}}": rate("waggle_decisions_refused_total", "reason"),
                        "answer: {{reason}}": rate("waggle_answers_refused_total", "reason"),
                    },
                    "reqps",
                    about="By the gateway for host, page, key, role, tenant; by the orchestrator for signature, token.",
                ),
                graph("Asked of people", {"{{about}}": rate("waggle_escalations_total", "about")}, "ops"),
            ],
        ],
        [choice("tenant", "Tenant", "label_values(waggle_runs_started_total, tenant)")],
    )


_ONE_RUN = """\
Metrics know no single run; its trace does. Enter a run's id: the table finds every trace that has a span with the tag
`waggle.run`, and a click on one shows it below. In the terminal: `waggle status RUN`. The graphs show what went on in
the swarm meanwhile: choose the run's time."""


def one_run() -> Json:
    """What became of one run."""
    return board(
        "waggle-run",
        "Waggle: one run",
        "Finds the traces of a run, and shows what went on meanwhile.",
        [
            (3, [words(_ONE_RUN)]),
            (
                7,
                [
                    trace_search(
                        "Traces of this run",
                        "waggle-orchestrator",
                        "waggle.run=$run",
                        "Found by the orchestrator's spans.",
                    )
                ],
            ),
            (18, [trace("The trace", "$trace")]),
            [
                graph(
                    "Being worked on, meanwhile",
                    {"{{group}}": "sum by (group) (waggle_in_flight)"},
                    about="A run that waits behind others waits here.",
                ),
                graph(
                    "Retries, meanwhile",
                    {"{{topic}}: {{error}}": rate("waggle_retries_total", "topic", "error")},
                    "ops",
                ),
                graph(
                    "Model calls, p95, meanwhile",
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
"""File name → dashboard."""
