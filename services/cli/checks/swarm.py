"""Checks that only a gateway can make: which agents run, what is stopped, and what agents report."""

import httpx
from pydantic import TypeAdapter, ValidationError

from schemas.api.checks import Check
from services.cli.checks.check_result import CheckResult, warn

_CHECKS = TypeAdapter(list[Check])

_MADE_HERE = frozenset(
    {"Redis", "Kafka", "archive (Postgres)", "topics", "groups without members", "lag", "access"},
)
"""Subjects of the gateway's checks that other checks of `waggle doctor` cover."""

_SUBJECT = "swarm"


async def check_swarm(http: httpx.AsyncClient, url: str, headers: dict[str, str]) -> list[CheckResult]:
    """Return the gateway's checks of agents, stops, models and MCP servers, with its verdicts."""
    answer = await http.get(f"{url}/v1/checks", headers=headers)
    if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        do = "use a key with the role `operate` for all tenants (docs/access.md)"
        return [warn(_SUBJECT, "agents and stops are not checked: this key may not see them", do)]
    try:
        answer.raise_for_status()
        found = _CHECKS.validate_json(answer.content)
    except (httpx.HTTPStatusError, ValidationError):
        do = "see the gateway's log; use a gateway of the same version as this command"
        return [warn(_SUBJECT, f"the gateway answers {answer.status_code}: agents and stops are not checked", do)]
    return [CheckResult(each.verdict, each.subject, each.found, each.action) for each in found if _new(each)]


def _new(check: Check) -> bool:
    return check.subject not in _MADE_HERE
