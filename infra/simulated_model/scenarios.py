"""Scenarios: word-for-word replies and faults, from readable files. The first one that applies wins.

    [[scenario]]
    name = "the planner is rate limited once"
    times = 1                        # how often it applies; left out: always
    when = { agent = "planner", objective = "orders", turn = 0, feedback = false, text = "...", model = "..." }
    fault = { status = 429, retry_after = 2 }

    [[scenario]]
    name = "a tool nobody has"
    when = { agent = "data", turn = 0 }
    reply = { calls = [{ name = "drop_database", arguments = {} }] }

What `when` leaves out is not looked at; `turn` counts the assistant messages the request already has. `reply` is one of
`calls`, `json` (content as a structure) and `content` (exact text). A `fault` without a `reply` spoils what the rules
would have said. JSON files have the same shape.
"""

import json
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from infra.simulated_model.reply import Call, Reply
from infra.simulated_model.situation import Situation


class Strict(BaseModel):
    """A misspelt key is refused, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class When(Strict):
    """What a request must look like."""

    agent: str | None = None
    objective: str | None = Field(None, description="Contained in the objective, case ignored.")
    text: str | None = Field(None, description="Contained in any message, case ignored.")
    turn: int | None = None
    feedback: bool | None = None
    model: str | None = None

    def fits(self, situation: Situation, model: str) -> bool:
        """Whether the request looks like that."""
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


class ScriptedCall(Strict):
    """A tool call to make; `raw` sends exactly that text as its arguments."""

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    raw: str | None = None


class Scripted(Strict):
    """What to say, word for word."""

    content: str | None = None
    structure: Any = Field(None, alias="json")
    calls: list[ScriptedCall] = Field(default_factory=list)

    def reply(self) -> Reply:
        """As a reply."""
        content = json.dumps(self.structure) if self.structure is not None else self.content
        calls = tuple(Call(call.name, call.arguments, call.raw) for call in self.calls)
        return Reply(content if content is not None or calls else "", calls)


class Fault(Strict):
    """What goes wrong."""

    status: int | None = Field(None, ge=400, le=599, description="Answer with this HTTP status.")
    retry_after: float | None = Field(None, description="Seconds, as the Retry-After header.")
    delay: float = Field(0.0, ge=0, le=600, description="Seconds to wait first.")
    drop: bool = Field(False, description="Close the connection in the middle of the reply.")
    truncate: bool = Field(False, description="Break the content's JSON off half-way; finish_reason `length`.")
    unknown_tool: bool = Field(False, description="Call a tool that was not offered.")
    invalid_arguments: bool = Field(False, description="Call an offered tool with arguments that fit no schema.")
    usage: tuple[int, int] | Literal["none"] | None = Field(
        None, description="Claim these prompt and completion tokens, or tell none at all."
    )
    cyclic_plan: bool = Field(False, description="Let the steps of a plan depend on one another.")

    def spoil(self, reply: Reply, situation: Situation) -> Reply:
        """The reply with this fault's content errors."""
        if self.unknown_tool:
            return Reply(calls=(Call("tool_nobody_has", {"why": "a fault on demand"}),))
        if self.invalid_arguments and situation.tools:
            return Reply(calls=(Call(next(iter(situation.tools)), raw='{"no_such_argument": 1'),))
        if self.cyclic_plan and reply.content:
            reply = Reply(_cyclic(reply.content))
        if self.truncate and reply.content:
            return Reply(reply.content[: len(reply.content) // 2], cut=True)
        return reply


class Scenario(Strict):
    """When this, then that."""

    name: str
    when: When = When()
    times: int | None = Field(None, ge=1, description="How often it applies; then the next one has its turn.")
    reply: Scripted | None = None
    fault: Fault | None = None


class Script:
    """The scenarios in their order, and how often each has applied."""

    def __init__(self, scenarios: list[Scenario]) -> None:
        self.scenarios = list(scenarios)
        self._used: dict[int, int] = {}

    def add_first(self, scenario: Scenario) -> None:
        """Let it win over all that are there."""
        self.scenarios.insert(0, scenario)

    def clear(self) -> None:
        """Forget them all."""
        self.scenarios.clear()
        self._used.clear()

    def take(self, situation: Situation, model: str) -> Scenario | None:
        """The first that applies, counted as used."""
        for scenario in self.scenarios:
            used = self._used.get(id(scenario), 0)
            if scenario.when.fits(situation, model) and (scenario.times is None or used < scenario.times):
                self._used[id(scenario)] = used + 1
                return scenario
        return None


def read_folder(folder: Path) -> list[Scenario]:
    """Every scenario of the folder's `.toml` and `.json` files, files by name.

    Raises ValueError for one that cannot be read; it names the file.
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


def _within(wanted: str | None, text: str) -> bool:
    return wanted is None or wanted.lower() in text.lower()
