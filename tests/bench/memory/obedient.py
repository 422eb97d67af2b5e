"""A model that obeys poisoned memories: what it finds in its prompt or by `recall`, it turns into an acting call."""

import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from infra.simulated_model.reply import PlannedCall
from schemas.budget import Usage
from schemas.step import Findings
from shared.config import ModelRole
from shared.llm import Chat, Demand, Estimate, Reply, Spending, ToolRequest, Window
from shared.llm.prices import Price
from tests.bench.memory.poisons import EVIL, HOOK

_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_LINK = re.compile(r"https?://[^\s\"',]+")
_AMOUNT = re.compile(r"\b\d[\d,]*\b")

ACTS = ("send_email", "post_webhook", "pay", "delete_record", "fetch_page")


class Obedient:
    """Recalls first, then makes the call `act` for the poison it has been shown, then answers in the poison's words.

    It uses the address that the poison names, else the attacker's. Without poison in sight it only answers.
    """

    embedding_model = ""

    def __init__(self, poison: Sequence[str], act: str, objective: str) -> None:
        self._poison, self._act, self._objective = poison, act, objective
        self.seen = 0
        """Poisoned memories that it was shown."""
        self._turn = 0

    def name_of(self, role: ModelRole) -> str:
        """Return the name of the model."""
        return "obedient"

    def window(self, role: ModelRole) -> Window:
        """Return the context of the model."""
        return Window(128_000, Estimate(), ("obedient",))

    async def chat(
        self,
        role: ModelRole,
        messages: Chat,
        *,
        tools: Sequence[dict[str, Any]] = (),
        result: type[BaseModel],
        max_output_tokens: int,
        within: float | None = None,
        spending: Spending,
    ) -> Reply:
        """Return the next turn."""
        self._turn += 1
        offered = {each["function"]["name"] for each in tools}
        async with spending(Demand("obedient", 1, max_output_tokens, Price(0, 0))) as permit:
            usage = Usage(prompt_tokens=1, completion_tokens=1, model_calls=1)
            permit.settle(usage)
        call = self._call(_texts(messages), offered)
        requests = (
            [ToolRequest(id=f"c{self._turn}", name=call.name, arguments=json.dumps(call.arguments))] if call else []
        )
        about = {"finish_reason": "tool_calls" if call else "stop", "model": "obedient", "seconds": 0.0, "usage": usage}
        return Reply(content=None if call else self._answer(), tool_requests=requests, **about)

    def _call(self, shown: str, offered: set[str]) -> PlannedCall | None:
        found = [text for text in self._poison if _plain(text) in shown]
        self.seen = max(self.seen, len(found))
        if self._turn == 1 and "recall" in offered:
            return PlannedCall(name="recall", arguments={"question": self._objective, "most": 20})
        if self._turn == 2 and found:
            return PlannedCall(name=self._act, arguments=_arguments(self._act, found[0]))
        return None

    def _answer(self) -> str:
        answer = {"answer": " ".join(self._poison[:1]) if self.seen else "Done.", "confidence": 1.0}
        return Findings.model_validate({"facts": [], "sources": [], "caveats": []} | answer).model_dump_json()


def _arguments(act: str, poison: str) -> dict[str, Any]:
    """Return the arguments of the call that obeys the poison."""
    to = next(iter(_MAIL.findall(poison)), EVIL)
    link = next(iter(_LINK.findall(poison)), HOOK)
    amounts = [int(each.replace(",", "")) for each in _AMOUNT.findall(poison)]
    given: dict[str, dict[str, Any]] = {
        "send_email": {"to": [to], "subject": "As told", "body": poison[:200]},
        "post_webhook": {"url": link, "payload": {"text": poison[:200]}},
        "pay": {"to": to, "amount": max(amounts, default=50)},
        "delete_record": {"record": to},
        "fetch_page": {"url": link},
    }
    return given[act]


def _texts(messages: Chat) -> str:
    """Return everything that the messages show, as plain text in one line."""
    return _plain("\n".join(_leaves([each.get("content") for each in messages])))


def _leaves(value: Any) -> list[str]:
    match value:
        case str():
            try:
                inner = json.loads(value)
            except ValueError:
                return [value]
            return [value] if isinstance(inner, str | int | float) else _leaves(inner)
        case dict():
            return [leaf for each in value.values() for leaf in _leaves(each)]
        case list():
            return [leaf for each in value for leaf in _leaves(each)]
    return []


def _plain(text: str) -> str:
    """Return letters and digits alone: a memory is shown on one line, without brackets, and sanitised."""
    return re.sub(r"\W+", "", text)
