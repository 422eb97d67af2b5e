"""The simulated model in a harness."""

import json

from infra.simulated_model.free import free_reply
from infra.simulated_model.situation import read
from infra.simulated_model.wire import ChatRequest
from waggle.testing import Scripted, ToolCalls


class Simulated(Scripted):
    """Replies by the rules of the simulated model, without its server."""

    def __init__(self):
        super().__init__([])

    async def chat(self, role, messages, *, tools=(), result, **limits):
        demanded = {"type": "json_schema", "json_schema": {"schema": result.model_json_schema()}}
        request = ChatRequest(model="simulated", messages=messages, tools=list(tools), response_format=demanded)
        reply = free_reply(read(request), request.answer_schema)
        called = tuple((call.name, json.loads(call.text)) for call in reply.calls)
        self._turns.append(ToolCalls(called) if called else reply.content)
        return await super().chat(role, messages, tools=tools, result=result, **limits)
