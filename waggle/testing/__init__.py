"""Tests of an agent without Kafka, Redis, Postgres or a model: `AgentHarness`, `Scripted`, `HttpStub`.

```python
async with AgentHarness(agent, model=Scripted([calls("count_words", text="one two"), FINDINGS])) as harness:
    result = await harness.step("Count the words of `one two`.")
```
"""

from schemas.step import Output, StepOutput
from waggle.testing.harness import AgentHarness
from waggle.testing.http_stub import HttpRequest, HttpStub
from waggle.testing.memories import memory
from waggle.testing.scripted import Scripted, ScriptError, ToolCalls, calls

__all__ = [
    "AgentHarness",
    "HttpRequest",
    "HttpStub",
    "Output",
    "ScriptError",
    "Scripted",
    "StepOutput",
    "ToolCalls",
    "calls",
    "memory",
]
