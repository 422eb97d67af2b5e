"""A stand-in for the model, and for the model only: everything else in a run is real.

A real HTTP server that speaks the OpenAI wire protocol (`/v1/chat/completions`, streaming too) and plays planner,
specialists and reviewer by rules that can be read in `rules/`. It understands what Waggle's agents send, knows nothing
about any task beforehand, and takes whatever it states from the tool results in the request. It is deterministic: the
same request gives the same reply. Every reply says that it is simulated: `system_fingerprint` is `simulated`, and the
header `x-waggle-simulated` is `1`.

    python -m infra.simulated_model --port 8091 [--host 127.0.0.1] [--scenarios FOLDER] [--allow-control]

Scenario files (`scenarios.py`) make it answer word for word or misbehave on demand.
"""
