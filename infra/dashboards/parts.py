"""Dashboards of the parts: agents, models and tools; Kafka and Redis."""

from infra.dashboards.panels import Json, board, choice, graph, number
from infra.dashboards.queries import quantile, rate, within


def agents() -> Json:
    """Dashboard of agents, models and tools."""
    mine = 'agent=~"$agent"'
    return board(
        "waggle-agents",
        "Waggle: agents and tools",
        "Duration of steps, calls of models and tools, their cost and failures.",
        [
            [
                graph(
                    "A step, median",
                    {"{{agent}}": quantile(0.5, "waggle_step_duration_seconds", "agent", only=mine)},
                    "s",
                ),
                graph(
                    "A step, p95",
                    {"{{agent}}": quantile(0.95, "waggle_step_duration_seconds", "agent", only=mine)},
                    "s",
                ),
                graph(
                    "Failed handoffs",
                    {"{{agent}}: {{error}}": rate("waggle_step_failures_total", "agent", "error", only=mine)},
                    "ops",
                ),
                graph(
                    "Repeating models",
                    {
                        "{{agent}}: {{kind}}, {{outcome}}": rate(
                            "waggle_loops_total", "agent", "kind", "outcome", only=mine
                        )
                    },
                    "ops",
                    "A model gets a warning first, then it is stopped.",
                ),
                graph(
                    "Handed over",
                    {"{{agent}}: {{outcome}}": rate("waggle_agent_handoffs_total", "agent", "outcome", only=mine)},
                    "ops",
                    "`last`: a limit or a loop is near, and the next agent must answer.",
                ),
            ],
            [
                graph(
                    "Model calls",
                    {"{{model}}: {{outcome}}": rate("waggle_model_calls_total", "model", "outcome", only=mine)},
                    "ops",
                ),
                graph(
                    "A model call, p95",
                    {"{{model}}": quantile(0.95, "waggle_model_call_duration_seconds", "model")},
                    "s",
                ),
                graph(
                    "Share of the context window, p90",
                    {"{{model}}": quantile(0.9, "waggle_context_used_ratio", "model")},
                    "percentunit",
                    "At 1 a prompt is truncated or refused.",
                ),
            ],
            [
                graph(
                    "Requests to models' endpoints",
                    {"{{endpoint}}: {{outcome}}": rate("waggle_model_requests_total", "endpoint", "outcome")},
                    "ops",
                    "Retries and fallbacks are counted separately.",
                ),
                graph(
                    "Held back by limits and breakers, p95",
                    {"{{endpoint}}": quantile(0.95, "waggle_model_wait_duration_seconds", "endpoint")},
                    "s",
                ),
                graph(
                    "Fallback replies, and breakers",
                    {
                        "{{endpoint}} for {{instead_of}}": rate(
                            "waggle_model_fallbacks_total", "endpoint", "instead_of"
                        ),
                        "breaker of {{breaker}} {{state}}": rate("waggle_breaker_changes_total", "breaker", "state"),
                    },
                    "ops",
                ),
            ],
            [
                graph(
                    "Tokens",
                    {"{{agent}}, {{kind}}": rate("waggle_tokens_total", "agent", "kind", only=mine)},
                    stacked=True,
                ),
                graph("Cost by model", {"{{model}}": rate("waggle_cost_usd_total", "model", only=mine)}, "currencyUSD"),
                graph(
                    "Cost by tenant", {"{{tenant}}": rate("waggle_cost_usd_total", "tenant", only=mine)}, "currencyUSD"
                ),
            ],
            [
                graph("Tool calls", {"{{tool}}": rate("waggle_tool_calls_total", "tool")}, "ops"),
                graph(
                    "Tool errors",
                    {"{{tool}}: {{outcome}}": rate("waggle_tool_calls_total", "tool", "outcome", only='outcome!="ok"')},
                    "ops",
                ),
                graph(
                    "A tool call, p95", {"{{tool}}": quantile(0.95, "waggle_tool_call_duration_seconds", "tool")}, "s"
                ),
                graph(
                    "Retried tool calls, and stale results used",
                    {
                        "{{tool}} again": rate("waggle_tool_repetitions_total", "tool"),
                        "{{tool}} stale": rate("waggle_tool_stale_results_total", "tool"),
                    },
                    "ops",
                    "See breakers for tools that are not called meanwhile.",
                ),
            ],
            [
                graph(
                    "Rulings of the gate other than `allow`",
                    {
                        "{{verdict}}: {{rule}}": rate(
                            "waggle_verdicts_total", "verdict", "rule", only='verdict!="allow"'
                        )
                    },
                    "ops",
                ),
            ],
            [
                graph("MCP servers connected", {"{{server}}": "min by (server) (waggle_mcp_connected)"}),
                graph("Tools of an MCP server", {"{{server}}": "min by (server) (waggle_mcp_tools)"}),
                graph("MCP servers lost", {"{{server}}": rate("waggle_mcp_losses_total", "server")}, "ops"),
            ],
        ],
        [choice("agent", "Agent", "label_values(waggle_model_calls_total, agent)")],
    )


def kafka_and_redis() -> Json:
    """Dashboard of the message flow, as the services see it."""
    return board(
        "waggle-kafka-redis",
        "Waggle: Kafka and Redis",
        "As the services see them; Kafka and Redis are not queried.",
        [
            (
                4,
                [
                    number(
                        "Blackboard whole", "min(waggle_blackboard_whole)", about="1: every service can work with it."
                    ),
                    number("Rebuilding", "max(waggle_rebuild_in_progress)", bad_above=1),
                    number("Rebuilds", within("waggle_rebuilds_total")),
                    number("Timers waiting", "sum(waggle_timers_waiting)"),
                    number("Oldest commit", "max(waggle_commit_age_seconds)", "s", bad_above=600),
                    number("Spans lost", within("waggle_spans_lost_total"), bad_above=1),
                ],
            ),
            [
                graph("Lag", {"{{group}} ← {{topic}}": "waggle:consumer_lag:sum"}),
                graph("Deliveries", {"{{topic}}": rate("waggle_delivery_duration_seconds_count", "topic")}, "ops"),
                graph(
                    "A delivery, p95", {"{{topic}}": quantile(0.95, "waggle_delivery_duration_seconds", "topic")}, "s"
                ),
            ],
            [
                graph("In flight", {"{{group}}": "sum by (group) (waggle_in_flight)"}),
                graph("Read ahead", {"{{group}}": "sum by (group) (waggle_read_ahead)"}),
                graph(
                    "Age of the last commit",
                    {"{{group}} ← {{topic}}": "max by (topic, group) (waggle_commit_age_seconds)"},
                    "s",
                ),
            ],
            [
                graph(
                    "Retries, and work parked by the kill switch",
                    {
                        "{{topic}}: {{error}}": rate("waggle_retries_total", "topic", "error"),
                        "{{topic}}: parked": rate("waggle_parked_total", "topic"),
                    },
                    "ops",
                ),
                graph("Dead letters", {"{{topic}}: {{error}}": "sum by (topic, error) (waggle_dead_letters_total)"}),
                graph(
                    "Waiting for Kafka, Redis or Postgres", {"{{topic}}": rate("waggle_outages_total", "topic")}, "ops"
                ),
            ],
            [
                graph(
                    "Timers",
                    {
                        "fired": rate("waggle_timers_fired_total"),
                        "of unknown runs": rate("waggle_stray_timers_total"),
                        "set: parked {{topic}}": rate("waggle_parked_total", "topic"),
                    },
                    "ops",
                ),
                graph("Timer delay, p95", {"": quantile(0.95, "waggle_timer_lateness_seconds")}, "s"),
                graph("Blackboard whole", {"{{service}}": "min by (service) (waggle_blackboard_whole)"}),
            ],
        ],
    )
