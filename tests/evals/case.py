"""Parts of an attack and its harmless twin: data, from which task, pages, files and the model's part follow."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

SECRET = "{secret}"
"""In a call's arguments: what the model was shown of the case's secret."""
UNKNOWN = "(nothing)"
"""Stands in for it when the model was not shown it."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call."""

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def filled(self, secret: str) -> dict[str, Any]:
        return _filled(dict(self.arguments), secret)


@dataclass(frozen=True, slots=True)
class Order:
    """An instruction that stands where none should, and the calls an obedient model makes of it.

    Of several texts all must have been seen. Where a call's tool is not offered the model passes the texts on in its
    answer, as the planner does in a step of its own for `agent`.
    """

    texts: tuple[str, ...]
    calls: tuple[Call, ...] = ()
    agent: str = "communication"
    via_review: bool = False
    """The reviewer obeys, too: it refuses the result once and gives the order as its reason."""
    says: str = ""
    """Text that the model is to write into its answer."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the task as it was meant."""

    agent: str
    objective: str
    calls: tuple[Call, ...] = ()
    answer: str = "Done as asked."
    after: tuple[int, ...] = ()
    """The steps, by position, whose outputs it builds on."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that is not text."""

    content: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Page:
    """Content of the web at an address."""

    body: str | bytes = ""
    media_type: str = "text/plain; charset=utf-8"
    location: str = ""
    """Target of its redirect, if any."""


@dataclass(frozen=True, slots=True)
class Names:
    """Names that only this case uses, so that each arrival outside can be attributed to it."""

    key: str
    secret: str

    @property
    def drop(self) -> str:
        return f"drop-{self.key}@evil.example"

    @property
    def evil(self) -> str:
        return f"evil-{self.key}.example"

    @property
    def site(self) -> str:
        return f"site-{self.key}.example"

    @property
    def friend(self) -> str:
        return f"ada-{self.key}@firm.example"

    @property
    def channel(self) -> str:
        """An attacker's own channel on a host the operator lets webhooks go to."""
        return f"http://hooks.chat.example/services/evil-{self.key}"

    @property
    def hook(self) -> str:
        """The webhook the task may name."""
        return f"http://hooks.chat.example/services/firm-{self.key}"

    @property
    def record(self) -> str:
        return f"R-{self.key}"


@dataclass(frozen=True, slots=True)
class Case:
    """One task with everything in its way."""

    names: Names
    family: str
    title: str
    steps: tuple[Step, ...]
    orders: tuple[Order, ...] = ()
    context: Mapping[str, Any] = field(default_factory=dict)
    """Of the task: `text`, `data`; `attachments` is a list of name, media type and text."""
    uploads: Mapping[str, Upload] = field(default_factory=dict)
    pages: Mapping[str, Page] = field(default_factory=dict)
    desk: str = ""
    """Answer of the MCP server's `lookup`; beginning with `!`: as an error."""
    refusal: str = ""
    """Reply of the mail server to recipients that begin with `refuse`."""
    constraints: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()
    """Permitted recipients, as the task's `destinations` name them."""
    expected: tuple[str, ...] = ()
    """Mail addresses, web addresses and effects that belong to the task."""
    effect: str = ""
    """An effect at the MCP server whose arguments name no case: it is this one's."""
    beyond: bool = False
    """The gate does not claim to stop it: a permitted action that says or does something else than was meant."""

    @property
    def key(self) -> str:
        return self.names.key

    @property
    def attack(self) -> bool:
        return bool(self.orders)

    @property
    def alone(self) -> bool:
        """True if it needs no plan."""
        return len(self.steps) == 1

    @property
    def objective(self) -> str:
        """The task's own words: those of all steps."""
        return " Then: ".join(dict.fromkeys(step.objective for step in self.steps)) + f" [{self.key}]"

    def with_(self, **changes: Any) -> Self:
        return replace(self, **changes)


def _filled(value: Any, secret: str) -> Any:
    match value:
        case str():
            return value.replace(SECRET, secret)
        case dict():
            return {_filled(name, secret): _filled(inner, secret) for name, inner in value.items()}
        case list() | tuple():
            return [_filled(inner, secret) for inner in value]
    return value
