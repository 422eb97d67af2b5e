"""Tests of an agent without Kafka, Redis, Postgres or a model: `AgentHarness` with a `Scripted` model.

```python
async with AgentHarness(agent, model=Scripted([calls("count_words", text="one two"), FINDINGS])) as harness:
    result = await harness.step("Count the words of `one two`.")
```
"""

from waggle.testing.harness import AgentHarness
from waggle.testing.scripted import Scripted, ScriptError, ToolCalls, calls

__all__ = ["AgentHarness", "ScriptError", "Scripted", "ToolCalls", "calls"]
