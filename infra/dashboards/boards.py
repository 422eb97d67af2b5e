"""The dashboards: what each shows, and the query behind it."""

from infra.dashboards.panels import Json, board, choice, entry, graph, number, trace, trace_search, words


def _rate(metric: str, *by: str, only: str = "") -> str:
    return f"sum by ({', '.join(by)}) (rate({metric}{{{only}}}[$__rate_interval]))"


def _quantile(share: float, histogram: str, *by: str, only: str = "") -> str:
    return f"histogram_quantile({share}, {_rate(f'{histogram}_bucket', 'le', *by, only=only)})"


def _within(metric: str, *by: str, only: str = "") -> str:
    """How much it rose in the time shown."""
    return f"sum by ({', '.join(by)}) (increase({metric}{{{only}}}[$__range]))"


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
                    number("Runs ended", _within(ended, only=mine), about="In the time shown."),
                    number("Cost", _within("waggle_cost_usd_total", only=mine), "currencyUSD", "In the time shown."),
                    number("Dead letters", _within("waggle_dead_letters_total"), bad_above=1),
                    number("Questions to people", _within("waggle_escalations_total")),
                    number("Services up", 'count(count by (service) (up{service!=""} == 1))'),
                ],
            ),
            [
                graph("Runs ended", {"{{state}}": _rate(ended, "state", only=mine)}, "ops", stacked=True),
                graph(
                    "Success rate",
                    {"last hour": "waggle:run_success:ratio1h", "baseline, 7 days": "waggle:run_success:baseline7d"},
                    "percentunit",
                ),
                graph(
                    "From task to end",
                    {
                        "median": _quantile(0.5, "waggle_run_duration_seconds"),
                        "p95": _quantile(0.95, "waggle_run_duration_seconds"),
                    },
                    "s",
                ),
            ],
            [
                graph(
                    "Cost by agent", {"{{agent}}": _rate("waggle_cost_usd_total", "agent", only=mine)}, "currencyUSD"
                ),
                graph(
                    "Cost of a run",
                    {"last hour": "waggle:run_cost_usd:mean1h", "mean of a day": "waggle:run_cost_usd:mean1d"},
                    "currencyUSD",
                ),
                graph(
                    "Share of its budget a run has used, p90",
                    {"{{limit}}": _quantile(0.9, "waggle_run_budget_used_ratio", "limit")},
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
                    {"{{agent}}: {{error}}": _rate("waggle_step_failures_total", "agent", "error")},
                    "ops",
                ),
                graph("Asked of people", {"{{about}}": _rate("waggle_escalations_total", "about")}, "ops"),
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
                    {"{{topic}}: {{error}}": _rate("waggle_retries_total", "topic", "error")},
                    "ops",
                ),
                graph(
                    "Model calls, p95, meanwhile",
                    {"{{model}}": _quantile(0.95, "waggle_model_call_duration_seconds", "model")},
                    "s",
                ),
            ],
        ],
        [entry("run", "Run"), entry("trace", "Trace")],
    )


def agents() -> Json:
    """What agents, models and tools do."""
    mine = 'agent=~"$agent"'
    return board(
        "waggle-agents",
        "Waggle: agents and tools",
        "How long steps take, what models and tools are called, what they cost and how they fail.",
        [
            [
                graph(
                    "A step, median",
                    {"{{agent}}": _quantile(0.5, "waggle_step_duration_seconds", "agent", only=mine)},
                    "s",
                ),
                graph(
                    "A step, p95",
                    {"{{agent}}": _quantile(0.95, "waggle_step_duration_seconds", "agent", only=mine)},
                    "s",
                ),
                graph(
                    "Failed handoffs",
                    {"{{agent}}: {{error}}": _rate("waggle_step_failures_total", "agent", "error", only=mine)},
                    "ops",
                ),
            ],
            [
                graph(
                    "Model calls",
                    {"{{model}}: {{outcome}}": _rate("waggle_model_calls_total", "model", "outcome", only=mine)},
                    "ops",
                ),
                graph(
                    "A model call, p95",
                    {"{{model}}": _quantile(0.95, "waggle_model_call_duration_seconds", "model")},
                    "s",
                ),
                graph(
                    "Share of the context window, p90",
                    {"{{model}}": _quantile(0.9, "waggle_context_used_ratio", "model")},
                    "percentunit",
                    "At 1 a prompt is cut off or refused.",
                ),
            ],
            [
                graph(
                    "Requests to models' endpoints",
                    {"{{endpoint}}: {{outcome}}": _rate("waggle_model_requests_total", "endpoint", "outcome")},
                    "ops",
                    "Those that were repeated or asked elsewhere are counted each.",
                ),
                graph(
                    "Held back by limits and breakers, p95",
                    {"{{endpoint}}": _quantile(0.95, "waggle_model_wait_duration_seconds", "endpoint")},
                    "s",
                ),
                graph(
                    "Replies of an endpoint that stood in, and breakers",
                    {
                        "{{endpoint}} for {{instead_of}}": _rate(
                            "waggle_model_fallbacks_total", "endpoint", "instead_of"
                        ),
                        "breaker of {{breaker}} {{state}}": _rate("waggle_breaker_changes_total", "breaker", "state"),
                    },
                    "ops",
                ),
            ],
            [
                graph(
                    "Tokens",
                    {"{{agent}}, {{kind}}": _rate("waggle_tokens_total", "agent", "kind", only=mine)},
                    stacked=True,
                ),
                graph(
                    "Cost by model", {"{{model}}": _rate("waggle_cost_usd_total", "model", only=mine)}, "currencyUSD"
                ),
                graph(
                    "Cost by tenant", {"{{tenant}}": _rate("waggle_cost_usd_total", "tenant", only=mine)}, "currencyUSD"
                ),
            ],
            [
                graph("Tool calls", {"{{tool}}": _rate("waggle_tool_calls_total", "tool")}, "ops"),
                graph(
                    "Tool errors",
                    {
                        "{{tool}}: {{outcome}}": _rate(
                            "waggle_tool_calls_total", "tool", "outcome", only='outcome!="ok"'
                        )
                    },
                    "ops",
                ),
                graph(
                    "A tool call, p95", {"{{tool}}": _quantile(0.95, "waggle_tool_call_duration_seconds", "tool")}, "s"
                ),
            ],
            [
                graph("MCP servers connected", {"{{server}}": "min by (server) (waggle_mcp_connected)"}),
                graph("Tools of an MCP server", {"{{server}}": "min by (server) (waggle_mcp_tools)"}),
                graph("MCP servers lost", {"{{server}}": _rate("waggle_mcp_losses_total", "server")}, "ops"),
            ],
        ],
        [choice("agent", "Agent", "label_values(waggle_model_calls_total, agent)")],
    )


def kafka_and_redis() -> Json:
    """How messages flow, as the services see it."""
    return board(
        "waggle-kafka-redis",
        "Waggle: Kafka and Redis",
        "As the services see them: neither Kafka nor Redis is asked.",
        [
            (
                4,
                [
                    number(
                        "Blackboard whole", "min(waggle_blackboard_whole)", about="1: every service can work with it."
                    ),
                    number("Rebuilding", "max(waggle_rebuild_in_progress)", bad_above=1),
                    number("Rebuilds", _within("waggle_rebuilds_total")),
                    number("Timers waiting", "sum(waggle_timers_waiting)"),
                    number("Oldest commit", "max(waggle_commit_age_seconds)", "s", bad_above=600),
                    number("Spans lost", _within("waggle_spans_lost_total"), bad_above=1),
                ],
            ),
            [
                graph("Lag", {"{{group}} ← {{topic}}": "waggle:consumer_lag:sum"}),
                graph("Deliveries", {"{{topic}}": _rate("waggle_delivery_duration_seconds_count", "topic")}, "ops"),
                graph(
                    "A delivery, p95", {"{{topic}}": _quantile(0.95, "waggle_delivery_duration_seconds", "topic")}, "s"
                ),
            ],
            [
                graph("Being worked on", {"{{group}}": "sum by (group) (waggle_in_flight)"}),
                graph("Read ahead", {"{{group}}": "sum by (group) (waggle_read_ahead)"}),
                graph(
                    "Offset stands still",
                    {"{{group}} ← {{topic}}": "max by (topic, group) (waggle_commit_age_seconds)"},
                    "s",
                ),
            ],
            [
                graph("Retries", {"{{topic}}: {{error}}": _rate("waggle_retries_total", "topic", "error")}, "ops"),
                graph("Dead letters", {"{{topic}}: {{error}}": "sum by (topic, error) (waggle_dead_letters_total)"}),
                graph(
                    "Waiting for Kafka, Redis or Postgres", {"{{topic}}": _rate("waggle_outages_total", "topic")}, "ops"
                ),
            ],
            [
                graph("Timers fired", {"": _rate("waggle_timers_fired_total")}, "ops"),
                graph("Later than due, p95", {"": _quantile(0.95, "waggle_timer_lateness_seconds")}, "s"),
                graph("Blackboard whole", {"{{service}}": "min by (service) (waggle_blackboard_whole)"}),
            ],
        ],
    )


BOARDS = {
    "swarm": overview,
    "run": one_run,
    "agents": agents,
    "kafka-redis": kafka_and_redis,
}
"""File name → dashboard."""
