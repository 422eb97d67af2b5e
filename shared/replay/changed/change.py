"""Change with which recorded turns are asked again, applied to the declaration of an agent and to the settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from shared.agent.declare import Agent
from shared.config import Settings

OF_AGENT = ("model", "asks", "hands_over", "board", "memory", "condensed")
"""Fields of an agent's declaration that `--setting` changes."""

OF_SETTINGS = ("max_turns", "gate", "guardrails")
"""Settings of the services that `--setting` changes."""

_TYPES: Mapping[str, Any] = {each: Agent.__annotations__[each] for each in OF_AGENT} | {
    each: Settings.model_fields[each].annotation for each in OF_SETTINGS
}


class Unusable(ValueError):
    """A change that cannot be applied: the message names the part."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of some agents. Empty parts change nothing."""

    model: str = ""
    """Model that is asked, instead of the one in the settings."""
    prompts: Mapping[str, Path] = field(default_factory=dict)
    """Instructions by agent."""
    tools: Mapping[str, str] = field(default_factory=dict)
    """Descriptions by tool."""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Values by agent and name."""

    def agent(self, agent: Agent) -> Agent:
        """Return the changed declaration. Raises Unusable for a value that does not fit."""
        given = self.settings.get(agent.name, {})
        fields: dict[str, Any] = {name: given[name] for name in OF_AGENT if name in given}
        if agent.name in self.prompts:
            fields["instructions"] = self.prompts[agent.name]
        tools = [self._described(tool) if tool.name in self.tools else tool for tool in agent.tools]
        return replace(agent, tools=tools, **fields)

    def settings_of(self, agent: str, settings: Settings) -> Settings:
        """Return the settings for the work of that agent."""
        given = self.settings.get(agent, {})
        return settings.model_copy(update={name: given[name] for name in OF_SETTINGS if name in given})

    def concerns(self, agent: Agent) -> bool:
        """Return True if it changes a part of the agent. Another model concerns every agent."""
        named = agent.name in self.prompts or agent.name in self.settings
        return bool(self.model) or named or any(tool.name in self.tools for tool in agent.tools)

    @property
    def agents_named(self) -> set[str]:
        """The agents that it names."""
        return {*self.prompts, *self.settings}

    def document(self) -> dict[str, Any]:
        """Return the change as JSON: what is changed, without the contents of files."""
        return {
            "model": self.model or None,
            "agent_prompts": sorted(self.prompts),
            "tool_descriptions": sorted(self.tools),
            "settings": {
                f"{agent}.{name}": str(value) for agent, of in self.settings.items() for name, value in of.items()
            },
        }

    def _described(self, tool: Any) -> Any:
        return replace(tool, description=self.tools[tool.name])


def value_of(name: str, text: str) -> Any:
    """Return the value of a setting from its text. Raises Unusable."""
    if name not in _TYPES:
        raise Unusable(f"`{name}` is no setting of an agent; there are: {', '.join(_TYPES)}")
    try:
        return TypeAdapter(_TYPES[name]).validate_python(text)
    except ValidationError as wrong:
        raise Unusable(f"`{text}` is no value of `{name}`: {wrong.errors()[0]['msg']}") from None
