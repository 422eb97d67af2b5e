"""Simulated model: it replaces the model only; everything else in a run is real.

An HTTP server that speaks the OpenAI wire protocol (`/v1/chat/completions`, streaming too) and plays planner,
specialists, writer and reviewer by readable rules in `rules/`. It understands the requests of Waggle's agents, knows
nothing about any task in advance, and takes all statements from the tool results in the request. It is deterministic:
the same request gives the same reply. Every reply says that it is simulated: `system_fingerprint` is `simulated`, and
the header `x-waggle-simulated` is `1`.

An objective that says so is shared: "claim customer 42, find the limits, and share them on the board".
In a run of shape `swarm` an objective that says so is handed over: "count the orders, hand it to research, then to
communication". "Hand it round" makes every agent hand on, which shows the bounds.

    python -m infra.simulated_model --port 8091 [--host 127.0.0.1] [--scenarios FOLDER] [--allow-control]

Scenario files (`scenarios.py`) make it reply verbatim or misbehave on demand.
"""
