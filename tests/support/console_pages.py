"""Every page of the console in every state that it has; tests/integration/console/test_every_page.py walks over them.

A new route belongs in here, with a line for each state that looks different.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx

from schemas.api.audit import AuditAnswer
from schemas.api.boards import ClaimsView
from schemas.api.checks import RunCounts
from schemas.api.dead_letters import SearchResult
from schemas.api.memories import ForgettingPage, MemoryPage, MemorySearch
from schemas.api.runs import ApprovalPage, RunPage
from schemas.api.sessions import SessionPage
from schemas.error import ErrorInfo
from tests.support.console import HOSTILE, RUN, Gateway, cost_report, talk, view
from tests.support.console_memories import TABLE as MEMORIES
from tests.support.console_operations import STATES, TABLE
from tests.support.run_parts import FILES, audit_costs

PLAIN = "Send the summary of the incident to anna@firm.example"


class Empty(Gateway):
    """A gateway of a swarm that has done nothing yet."""

    def _shown(self, what: str) -> httpx.Response:
        empty = {
            "runs": RunPage(runs=[], next_offset=None).model_dump_json(),
            "counts": RunCounts(states={}, indexing=False).model_dump_json(),
            "audit/records": AuditAnswer(rows=[]).model_dump_json(),
            "audit/cost": audit_costs("default", 0).model_dump_json(),
            "costs": cost_report("default").model_dump_json(),
            "claims": ClaimsView(claims=[]).model_dump_json(),
            "approvals": ApprovalPage(approvals=[], unreadable=[], next_offset=None).model_dump_json(),
            "forgettings": ForgettingPage(forgettings=[]).model_dump_json(),
            "memories": MemoryPage(memories=[], empty=True).model_dump_json(),
            "memories/search": MemorySearch(found=[], by_meaning=True).model_dump_json(),
            "sessions": SessionPage(sessions=[]).model_dump_json(),
            "sessions/trip": talk("default").model_copy(update={"recent": [], "turns": 0}).model_dump_json(),
            "run": view("default").model_dump_json(),
            "dead-letters": SearchResult(letters=[], complete=True, not_looked_at=0).model_dump_json(),
        }
        return httpx.Response(200, content=empty.get(what, "[]"))


def _gateway(
    text: str = PLAIN, *, waiting: bool = True, refuse: tuple[int, ErrorInfo] | None = None, matching: int = 3
) -> Gateway:
    gateway = Gateway(text)
    gateway.waiting, gateway.refuse, gateway.matching = waiting, refuse, matching
    return gateway


_REFUSED = ErrorInfo(code="forbidden", message="this request needs the role read", suggested_action="ask an operator")
_GONE = ErrorInfo(code="kafka_unavailable", message="Kafka is unavailable", suggested_action="repeat the request")
_UNKNOWN = ErrorInfo(code="unknown_run", message="there is no such run", suggested_action="list the runs")

GATEWAYS: Mapping[str, Callable[[], Gateway]] = {
    "plain": _gateway,
    "hostile": lambda: _gateway(HOSTILE),
    "crowded": lambda: _gateway(matching=4_711),
    "nothing": lambda: _gateway(matching=0),
    "ended": lambda: _gateway(waiting=False),
    "empty": lambda: Empty(PLAIN),
    "refused": lambda: _gateway(refuse=(403, _REFUSED)),
    "unknown": lambda: _gateway(refuse=(404, _UNKNOWN)),
    "unavailable": lambda: _gateway(refuse=(503, _GONE)),
    "locked": lambda: Gateway(PLAIN, keys=("wgl_key",)),
    **STATES,
}
"""Gateways by the state that their answers put a page in."""


@dataclass(frozen=True)
class Shown:
    """A page in a state. `press`: a button that is pressed there, for what follows a form."""

    route: str
    path: str
    gateway: str = "plain"
    press: str = ""

    def __str__(self) -> str:
        return f"{self.path} {self.gateway}{' after ' + self.press if self.press else ''}"


def _states(route: str, path: str, *gateways: str) -> tuple[Shown, ...]:
    return tuple(Shown(route, path, each) for each in gateways)


QUESTION = f"/runs/{RUN}/question"
ENTRY = f"/runs/{RUN}/board?kind=finding&key=rate"
ORDER = f"/runs/{RUN}/orders/cancel"
BATCH = "/run-orders/{name}"

PAGES: tuple[Shown, ...] = (
    *_states("/", "/", "plain", "hostile", "empty", "refused", "unavailable"),
    *_states("/runs", "/runs", "plain", "hostile", "empty"),
    Shown("/runs", "/runs?state=FAILED&retrying=on&text=orders&cursor=3~run-3"),
    *_states(BATCH, "/run-orders/pause?agent=data", "plain", "hostile", "crowded", "refused", "nothing"),
    *_states(BATCH, "/run-orders/cancel", "plain"),
    Shown(BATCH, "/run-orders/delete?agent=data"),
    Shown("", "/run-orders/resume?state=PAUSED", "hostile", press="form.card button"),
    *_states("/runs/{run_id}", f"/runs/{RUN}", "plain", "hostile", "ended", "unknown"),
    Shown("/runs/{run_id}", f"/runs/{RUN}?before=3-1&notice=submitted"),
    *_states("/runs/{run_id}/steps/{step_id}/turns", f"/runs/{RUN}/steps/data/turns", "plain", "hostile", "refused"),
    *_states("/runs/{run_id}/steps/{step_id}/turns/{turn}", f"/runs/{RUN}/steps/data/turns/2", "plain", "hostile"),
    *_states("/runs/{run_id}/record", f"/runs/{RUN}/record?contents=1", "plain", "hostile"),
    Shown("/runs/{run_id}/record", f"/runs/{RUN}/record"),
    *_states(
        "/runs/{run_id}/board", f"/runs/{RUN}/board?kind=finding&key=rate", "plain", "hostile", "ended", "refused"
    ),
    *_states("/claims", "/claims", "plain", "hostile", "empty", "refused"),
    Shown("/claims", "/claims?notice=released"),
    Shown("/claims", "/claims", "hostile", press="details summary"),
    *_states("/runs/{run_id}/resubmit", f"/runs/{RUN}/resubmit", "plain", "hostile", "refused"),
    *(Shown("/runs/{run_id}/files/{sha256}", f"/runs/{RUN}/files/{each}", "hostile") for each in FILES),
    *_states("/audit", "/audit", "plain", "hostile", "refused"),
    *_states("/records", "/records", "plain", "hostile", "empty", "refused"),
    *_states("/records", "/records?kind=tool_call&arguments=a&since=2026-10-01&until=2026-10-31", "plain", "refused"),
    *_states("/records/{number}", "/records/7?contents=1", "plain", "hostile", "empty"),
    *_states("/records/cost", "/records/cost?by=agent&by=run", "plain", "hostile", "empty"),
    *_states("/inbox", "/inbox", "plain", "hostile", "empty", "refused"),
    Shown("/inbox", "/inbox?notice=reject"),
    *_states("/inbox/next", "/inbox/next", "plain", "hostile", "empty"),
    Shown("/inbox/next", "/inbox/next?past=9:0:z&notice=approve"),
    Shown("", "/inbox", "hostile", press='#batch [value="skip"]'),
    *_states("/runs/{run_id}/question", f"{QUESTION}?id=q-1", "plain", "hostile"),
    Shown("/runs/{run_id}/question", f"{QUESTION}?id=q-1", press='[name="decision"][value="reject"]'),
    Shown("/runs/{run_id}/question", f"{QUESTION}?id=q-old"),
    Shown("/runs/{run_id}/question", f"{QUESTION}?id=q-none"),
    *_states("/runs/{run_id}/orders/{name}", ORDER, "plain", "hostile"),
    Shown("/runs/{run_id}/orders/{name}", f"/runs/{RUN}/orders/nothing"),
    *_states("/sessions", "/sessions", "plain", "hostile", "empty", "refused"),
    Shown("/sessions", "/sessions?offset=50", "empty"),
    *_states("/sessions/{session:path}", "/sessions/trip", "plain", "hostile", "ended", "unknown"),
    Shown("/sessions/{session:path}", f"/sessions/trip?run={RUN}&notice=ended", "empty"),
    *_states("/login", "/login?after=/inbox", "plain", "locked"),
    Shown("", "/no-such-page"),
    *(Shown(*each) for each in MEMORIES),
    *(Shown(*each) for each in TABLE),
)
"""The table. `route` as the console declares it; empty for an address without one."""

NO_PAGES: Mapping[str, str] = {
    "/runs/{run_id}/live": "a stream",
    "/overview/live": "a stream",
    "/conversation-live/{session:path}": "a stream",
    "/inbox/live": "a stream",
    "/runs/{run_id}/files/{sha256}/image": "an image",
    "/records/export": "a download",
    "/runs/{run_id}/files/{sha256}/download": "a download",
    "/login/provider": "leads to the identity provider: test_provider_login.py",
    "/login/callback": "leads on from there: test_provider_login.py",
}
"""Routes that can be read and show no page of their own, with the reason."""
