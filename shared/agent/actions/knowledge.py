"""Everything that a handoff has read and done so far, as the gate's rules read it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from schemas.caller_message import CallerMessage
from schemas.memory import Remembered
from schemas.plan import Risk
from schemas.step import DoStep, Handoff
from shared.agent.actions.effects import Effects, utc_now
from shared.agent.actions.origins import origins
from shared.agent.actions.tool_calls import ParsedToolCall, ToolResult
from shared.agent.actions.verdicts import info_of
from shared.agent.listening import origins_of, words_of
from shared.authorization import (
    Page,
    Policy,
    PolicyContext,
    ToolTraits,
    Trusted,
    acts,
    host_of,
    places,
    sentences,
    targets_of,
)
from shared.errors import WaggleError
from shared.guardrails import Taint, sanitised
from shared.service.kill_switch import ScopedSwitch
from shared.tools import Tool

_PUBLIC = ("page:", "mcp:")
"""Origins of public content."""


@dataclass(slots=True)
class Knowledge:
    """Content that was read and effects that were made. A replay of the journal leads to the same knowledge."""

    handoff: Handoff
    policy: Policy
    switch: ScopedSwitch
    tools: Sequence[Tool]
    now: Callable[[], datetime] = utc_now
    taint: Taint = field(init=False)
    """Untrusted content read so far, in the handoff and in tool results."""
    effects: Effects = field(init=False)
    """Acting calls of this delivery."""
    acted: set[str] = field(default_factory=set)
    """Deeds of this work: tool and place of everything that lasts."""
    _remembered: dict[str, None] = field(default_factory=dict)
    """Memories that were shown, by their origins."""
    _trusted: Trusted = field(init=False)
    _pages: list[Page] = field(default_factory=list)
    """Pages written by third parties, as the model was shown them."""
    _sources: dict[str, list[str]] = field(default_factory=dict)
    """Texts of MCP servers, by server: a text may be sent back to the server it came from."""

    def __post_init__(self) -> None:
        """Start from the content of the handoff."""
        handoff = self.handoff
        decided = [each.words for each in handoff.settled.values()]
        words = [handoff.task_objective, *handoff.constraints, *decided, *words_of(handoff.messages)]
        self._trusted = Trusted(sentences(words), tuple(handoff.destinations))
        self.effects = Effects(handoff, self.now)
        self.taint = Taint([*origins(handoff), *(tool.source for tool in self.tools if tool.source)])

    def hear(self, messages: Sequence[CallerMessage]) -> None:
        """Add messages to the run: the words of the task's author count as the task's, any others are material."""
        said = (*self._trusted.said, *sentences(words_of(messages)))
        self._trusted = Trusted(said, self._trusted.patterns)
        for origin in origins_of(messages):
            self.taint.enter(origin)

    def forget_conversations(self) -> None:
        """Forget the texts that a restarted handler has read. They still taint the handoff."""
        self._pages.clear()
        self._sources.clear()

    @property
    def origins(self) -> tuple[str, ...]:
        """Origins of everything that may have steered the model: untrusted content, and memories of any kind."""
        return tuple(dict.fromkeys([*self.taint.origins, *self._remembered]))

    def recall(self, memory: Remembered) -> None:
        """Add a memory that was shown. A tainted one taints as what it comes from does."""
        self._remembered[memory.origin] = None
        for origin in [*memory.taint, memory.origin] if memory.taint else ():
            self.taint.enter(" ".join(sanitised(origin).split()))

    def remember(self, tool: Tool, call: ParsedToolCall, result: ToolResult, origin: str | None) -> None:
        """Add the content or the effect of a call that was answered."""
        if acts(tool):
            self.acted |= targets_of(tool, call.arguments)
        elif tool.source is not None:
            self._sources.setdefault(tool.source, []).append(result.text)
        elif origin is not None and origin.startswith("page:"):
            hosts = {host for place in places(tool, call.arguments) if (host := host_of(place))}
            self._pages += [Page(host, result.text) for host in hosts]

    def situation(
        self, tool: ToolTraits | None, used_up: WaggleError | None = None, *, as_of: str | None = None
    ) -> PolicyContext:
        """Return the input of the rules. `as_of`: place of an earlier call, evaluated without later expiry or stops."""
        handoff = self.handoff
        return PolicyContext(
            policy=self.policy,
            trusted=self._trusted_for(tool),
            now=datetime.min.replace(tzinfo=UTC) if as_of else self.now(),
            stopped=None if as_of else self.switch.reason,
            used_up=info_of(used_up),
            origins=self._origins_for(tool),
            links=self._texts_of_server(tool),
            pages=[] if self._has_read_private_content else self._pages,
            confidence=self.confidence,
            step_risk=handoff.risk if isinstance(handoff, DoStep) else Risk.LOW,
            settled=handoff.settled,
            acted=self.acted | set(handoff.acted) if isinstance(handoff, DoStep) else self.acted,
            work_id=handoff.idempotency_key,
            effected=self.effects.known(but=as_of),
            effected_dropped=handoff.effected_dropped,
            answered_from_record=self.effects.answered_from_record,
        )

    @property
    def confidence(self) -> float:
        """Lowest confidence of the outputs that the work builds on."""
        return min((each.output.confidence for each in self.handoff.inputs), default=1.0)

    @property
    def _has_read_private_content(self) -> bool:
        """True if the agent has read anything private: the links it follows could then leak it."""
        return any(not origin.startswith(_PUBLIC) for origin in self.taint.origins)

    def _origins_for(self, tool: ToolTraits | None) -> Sequence[str]:
        """Return the origins that count for a call: content may be returned to its author."""
        author = tool.origin if isinstance(tool, Tool) else ""
        return [each for each in self.origins if each != author] if author else self.origins

    def _trusted_for(self, tool: ToolTraits | None) -> Trusted:
        """Return the trusted sources of destinations, with those that the operator permits the tool."""
        permitted = tool.permitted if isinstance(tool, Tool) else ()
        return replace(self._trusted, patterns=(*self._trusted.patterns, *permitted)) if permitted else self._trusted

    def _texts_of_server(self, tool: ToolTraits | None) -> list[str]:
        source = tool.source if isinstance(tool, Tool) else None
        return self._sources.get(source, []) if source is not None else []
