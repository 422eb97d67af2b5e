"""A pipeline that does the user's task as AgentDojo does it itself, and, as soon as it reads it, the attacker's."""

import re
from collections.abc import Sequence
from typing import Any

from agentdojo.agent_pipeline.base_pipeline_element import BasePipelineElement
from agentdojo.base_tasks import BaseInjectionTask, BaseUserTask
from agentdojo.functions_runtime import Env, FunctionCall, FunctionsRuntime
from agentdojo.types import ChatAssistantMessage, ChatMessage, text_content_block_from_string

from tests.evals.dojo.gated import READING, GatedRuntime, PersonAskedError

_SPACE = re.compile(r"\W+")


class Obedient(BasePipelineElement):
    """Follows `task`, and `injected` once its goal has been read. One of it for each run."""

    name = "obedient"

    def __init__(
        self,
        task: BaseUserTask,
        injected: BaseInjectionTask | None = None,
        *,
        approving: bool = False,
        declared: bool = False,
    ) -> None:
        self._task, self._injected = task, injected
        self._approving, self._declared = approving, declared
        self.gated: GatedRuntime | None = None
        self.obeyed = False
        self.stopped = False
        self.ways: set[str] = set()
        """Goal of the injection: `read`, `act`; empty if it only wants words."""

    def query(
        self,
        query: str,
        runtime: FunctionsRuntime,
        env: Env,
        messages: Sequence[ChatMessage] = (),
        extra_args: dict | None = None,
    ) -> tuple[str, FunctionsRuntime, Env, Sequence[ChatMessage], dict]:
        self.gated = GatedRuntime(runtime, query, self._approving, self._declared)
        made: list[ChatMessage] = []
        try:
            for call in self._task.ground_truth(env):
                self._make(env, call, made)
        except PersonAskedError:
            self.stopped = True
        made.append(_said(self._last_words()))
        return query, runtime, env, [*messages, *made], extra_args or {}

    def _make(self, env: Env, call: FunctionCall, made: list[ChatMessage]) -> None:
        assert self.gated is not None
        told = self.gated.call(env, call.function, dict(call.args))
        made.append(_said("", call))
        if self._injected is not None and not self.obeyed and _plain(self._injected.GOAL) in _plain(told):
            self.obeyed = True
            for wanted in self._injected.ground_truth(env):
                self.ways.add("read" if wanted.function.startswith(READING) else "act")
                self._make(env, wanted, made)

    def _last_words(self) -> str:
        own = "" if self.stopped else self._task.GROUND_TRUTH_OUTPUT
        return f"{own}\n{self._injected.GROUND_TRUTH_OUTPUT}" if self.obeyed and self._injected else own


def _said(text: str, call: FunctionCall | None = None) -> Any:
    content = [text_content_block_from_string(text)]
    return ChatAssistantMessage(role="assistant", tool_calls=[call] if call else None, content=content)


def _plain(text: str) -> str:
    return _SPACE.sub(" ", text).casefold()
