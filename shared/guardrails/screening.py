"""Several texts of one subject through the guardrails, with everything that tripped."""

from typing import Any

from shared.guardrails.policy import GuardrailPolicy, Side
from shared.guardrails.screen import Judge, Tripped, screen


class Screening:
    """Screen one text after another for a tenant and collect what tripped."""

    def __init__(self, policy: GuardrailPolicy, side: Side, tenant: str, judge: Judge | None = None) -> None:
        self._policy = policy
        self._side: Side = side
        self._tenant = tenant
        self._judge = judge
        self.tripped: list[Tripped] = []

    def text(self, text: str, where: str) -> str:
        """Return the text after screening."""
        done = screen(text, self._policy, self._side, tenant=self._tenant, where=where, judge=self._judge)
        self.tripped += done.tripped
        return done.text

    def deep(self, value: Any, where: str) -> Any:
        """Screen every text in JSON-ready data, including field names."""
        match value:
            case str():
                return self.text(value, where)
            case dict():
                return {self.text(name, where): self.deep(each, f"{where}.{name[:40]}") for name, each in value.items()}
            case list():
                return [self.deep(each, f"{where}[{number}]") for number, each in enumerate(value)]
        return value
