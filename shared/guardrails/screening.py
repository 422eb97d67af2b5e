"""Several texts of one thing through the guardrails, and what tripped in any of them."""

from typing import Any

from shared.guardrails.policy import Policy, Side
from shared.guardrails.screen import Judge, Tripped, screen


class Screening:
    """Screens one text after another for a tenant and keeps what tripped."""

    def __init__(self, policy: Policy, side: Side, tenant: str, judge: Judge | None = None) -> None:
        self._policy = policy
        self._side: Side = side
        self._tenant = tenant
        self._judge = judge
        self.tripped: list[Tripped] = []

    def text(self, text: str, where: str) -> str:
        """The text as the policy leaves it."""
        done = screen(text, self._policy, self._side, tenant=self._tenant, where=where, judge=self._judge)
        self.tripped += done.tripped
        return done.text

    def deep(self, value: Any, where: str) -> Any:
        """JSON-ready data with every text in it screened, names of fields too."""
        match value:
            case str():
                return self.text(value, where)
            case dict():
                return {self.text(name, where): self.deep(each, f"{where}.{name[:40]}") for name, each in value.items()}
            case list():
                return [self.deep(each, f"{where}[{number}]") for number, each in enumerate(value)]
        return value
