"""An occasion: something that people may be notified of, as subscriptions see it and as it is sent."""

from typing import Any, NamedTuple
from urllib.parse import quote

from schemas.notification import About, Notification
from schemas.question_events import AnswerGiven, HelpRequested
from shared.notify import Fact

DRAFT = "draft"
"""Channel of a notification that has none yet."""


class Known(NamedTuple):
    """Further facts about the run of an event; None where they are unknown."""

    objective: str | None = None
    task_type: str | None = None
    agent: str | None = None
    asked: HelpRequested | None = None
    """The question that the event is about."""
    approvals: tuple[int, ...] = ()
    """Stage of each approval it has."""
    groups: tuple[str, ...] = ()
    """Groups that may answer it besides, since it was escalated."""
    given: AnswerGiven | None = None
    """The answer that came with the event, for a change of the call."""


class Occasion(NamedTuple):
    """An occasion as subscriptions see it, and its notification without a channel."""

    fact: Fact
    notice: Notification


class Console(NamedTuple):
    """Links to the pages of the console; without an address there are none."""

    url: str | None

    def question(self, tenant: str, run_id: str, request_id: str) -> str | None:
        """Return the page of a question."""
        query = f"id={quote(request_id, safe='')}&tenant={quote(tenant, safe='')}"
        return self._page(f"runs/{quote(run_id, safe='')}/question?{query}")

    def run(self, tenant: str, run_id: str) -> str | None:
        """Return the page of a run."""
        return self._page(f"runs/{quote(run_id, safe='')}?tenant={quote(tenant, safe='')}")

    def _page(self, path: str) -> str | None:
        return f"{self.url.rstrip('/')}/{path}" if self.url else None


def notice_of(fact: Fact, about: About, **values: Any) -> Notification:
    """Return the notification of a fact, without a channel."""
    known = {"tenant": fact.tenant, "agent": fact.agent, "task_type": fact.task_type, "risk": fact.risk}
    return Notification(channel=DRAFT, about=about, **known, **values)
