"""A2A 1.0 at the edge: other systems' agents send tasks to the swarm and follow them.

| A2A | Waggle |
|---|---|
| task, its id | run, its id |
| context | session |
| `input-required`, the next message of the task | an open question, its answer |
| artefacts | the answer, its data, files |

The protocol is the `a2a-sdk`'s; what it asks for is done by the functions behind the HTTP API, with their roles.
"""
