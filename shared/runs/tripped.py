"""Guardrails that have tripped on the words of a caller, and the reasons that they give."""

from collections.abc import Iterable
from typing import Protocol

ASK, REJECT = "ask", "reject"
"""Actions of tripped guardrails that decide about the run; all others have changed the text at most."""


class GuardrailHit(Protocol):
    """A guardrail that has tripped; as text, where and why."""

    @property
    def kind(self) -> str:
        """Kind of the finding, such as `secret`."""
        ...

    @property
    def action(self) -> str:
        """Action of the policy, such as `ask`."""
        ...

    @property
    def where(self) -> str:
        """Part of the task."""
        ...

    @property
    def why(self) -> str:
        """Reason, without anything of the text."""
        ...

    @property
    def count(self) -> int:
        """Number of findings."""
        ...


def reasons(tripped: Iterable[GuardrailHit], *actions: str) -> str:
    """Return the reasons of the guardrails with one of these actions; empty if there is none."""
    return "; ".join(f"guardrail `{each.kind}`: {each}" for each in tripped if each.action in actions)[:2_000]
