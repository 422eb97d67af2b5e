"""Scenarios: verbatim replies and faults, from readable files. The first one that applies wins.

    [[scenario]]
    name = "the planner is rate limited once"
    times = 1                        # how often it applies; default: always
    chance = 0.2                     # share of the requests it applies to, at random; default: all
    when = { agent = "planner", objective = "orders", turn = 0, feedback = false, text = "...", model = "..." }
    fault = { status = 429, retry_after = 2 }

    [[scenario]]
    name = "a tool that does not exist"
    when = { agent = "data", turn = 0 }
    reply = { calls = [{ name = "drop_database", arguments = {} }] }

Omitted fields of `when` match anything; `turn` counts the assistant messages the request already has. `reply` is one
of `calls`, `json` (content as a structure) and `content` (exact text). A `fault` without a `reply` alters the reply of
the rules. JSON files have the same shape.
"""

import json
import random
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from infra.simulated_model.reply import PlannedCall, Reply
from infra.simulated_model.situation import Situation


class ScenarioPart(BaseModel):
    """Base of the parts: a misspelt key is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class When(ScenarioPart):
    """Conditions on a request."""

    agent: str | None = None
    objective: str | None = Field(None, description="Contained in the objective, case-insensitive.")
    text: str | None = Field(None, description="Contained in any message, case-insensitive.")
    turn: int | None = None
    feedback: bool | None = None
    model: str | None = None

    def fits(self, situation: Situation, model: str) -> bool:
        """Return true if the request meets them."""
        brief = situation.brief
        objective = brief.objective if brief else ""
        return (
            self.agent in (None, situation.agent)
            and self.turn in (None, situation.turn)
            and self.model in (None, model)
            and (self.feedback is None or self.feedback == bool(brief and brief.feedback))
            and _within(self.objective, objective)
            and _within(self.text, "\n".join(situation.texts))
        )


class ScriptedCall(ScenarioPart):
    """A tool call to make; `raw` sends exactly that text as its arguments."""

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    raw: str | None = None


class Scripted(ScenarioPart):
    """A verbatim reply."""

    content: str | None = None
    structure: Any = Field(None, alias="json")
    calls: list[ScriptedCall] = Field(default_factory=list)

    def reply(self) -> Reply:
        """Return it as a reply."""
        content = json.dumps(self.structure) if self.structure is not None else self.content
        calls = tuple(PlannedCall(call.name, call.arguments, call.raw) for call in self.calls)
        return Reply(content if content is not None or calls else "", calls)


class Fault(ScenarioPart):
    """A fault to inject."""

    status: int | None = Field(None, ge=400, le=599, description="Answer with this HTTP status.")
    retry_after: float | None = Field(None, description="Seconds, as the Retry-After header.")
    delay: float = Field(0.0, ge=0, le=600, description="Seconds to wait before the reply.")
    drop: bool = Field(False, description="Close the connection in the middle of the reply.")
    truncate: bool = Field(False, description="Truncate the content's JSON; finish_reason `length`.")
    unknown_tool: bool = Field(False, description="Call a tool that was not offered.")
    invalid_arguments: bool = Field(
        False, description="Call an offered tool with arguments that do not fit its schema."
    )
    usage: tuple[int, int] | Literal["none"] | None = Field(
        None, description="Claim these prompt and completion tokens, or none."
    )
    cyclic_plan: bool = Field(False, description="Let the steps of a plan depend on one another.")
    drop_step: bool = Field(False, description="Leave the last step out of a plan of several.")

    def spoil(self, reply: Reply, situation: Situation) -> Reply:
        """Return the reply with this fault's content errors."""
        if self.unknown_tool:
            return Reply(calls=(PlannedCall("tool_nobody_has", {"why": "a fault on demand"}),))
        if self.invalid_arguments and situation.tools:
            return Reply(calls=(PlannedCall(next(iter(situation.tools)), raw='{"no_such_argument": 1'),))
        if self.cyclic_plan and reply.content:
            reply = Reply(_cyclic(reply.content))
        if self.drop_step and reply.content:
            reply = Reply(_shortened(reply.content))
        if self.truncate and reply.content:
            return Reply(reply.content[: len(reply.content) // 2], cut=True)
        return reply


class Scenario(ScenarioPart):
    """One scenario: conditions, and a reply or fault."""

    name: str
    when: When = When()
    times: int | None = Field(None, ge=1, description="Maximum number of uses; then the next scenario applies.")
    chance: float = Field(1.0, gt=0, le=1, description="Share of the requests that meet the conditions, at random.")
    reply: Scripted | None = None
    fault: Fault | None = None


class Script:
    """The scenarios in order, with the number of their uses."""

    def __init__(self, scenarios: list[Scenario]) -> None:
        self.scenarios = list(scenarios)
        self._used: dict[int, int] = {}

    def add_first(self, scenario: Scenario) -> None:
        """Add a scenario before all others."""
        self.scenarios.insert(0, scenario)

    def clear(self) -> None:
        """Remove all scenarios."""
        self.scenarios.clear()
        self._used.clear()

    def take(self, situation: Situation, model: str) -> Scenario | None:
        """Return the first that applies, and count its use."""
        for scenario in self.scenarios:
            used = self._used.get(id(scenario), 0)
            left = scenario.times is None or used < scenario.times
            if left and scenario.when.fits(situation, model) and _falls(scenario.chance):
                self._used[id(scenario)] = used + 1
                return scenario
        return None


def read_folder(folder: Path) -> list[Scenario]:
    """Read every scenario of the folder's `.toml` and `.json` files, in order of names.

    Raises ValueError for an invalid file, with its name.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix in (".toml", ".json"))
    return [scenario for path in files for scenario in _read(path)]


def _read(path: Path) -> list[Scenario]:
    text = path.read_text(encoding="utf-8")
    try:
        content = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
        return [Scenario.model_validate(part) for part in content["scenario"]]
    except (ValueError, KeyError, TypeError) as wrong:
        raise ValueError(f"scenario file {path.name}: {wrong}") from wrong


def _cyclic(plan: str) -> str:
    content = json.loads(plan)
    steps = content.get("steps") or []
    if steps:
        steps[0]["depends_on"] = [steps[-1]["id"]]
    return json.dumps(content)


def _shortened(plan: str) -> str:
    content = json.loads(plan)
    steps = content.get("steps") or []
    return json.dumps({**content, "steps": steps[:-1] or steps})


def _falls(chance: float) -> bool:
    """Return true for this share of the calls."""
    return random.random() < chance  # noqa: S311 -- no secret


def _within(wanted: str | None, text: str) -> bool:
    return wanted is None or wanted.lower() in text.lower()
