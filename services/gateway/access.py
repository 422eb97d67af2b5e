"""Authorization by a table of the roles that each route needs; authentication is in `authentication.py`.

A route without an entry is closed.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog
from starlette.types import Scope

from services.gateway.errors import Refused
from shared.access.principals import EVERY, Principal, Role
from shared.telemetry.metrics import Metrics

log = structlog.get_logger()

CALLER = "waggle.caller"
"""Key of the caller in a request's scope."""

LOG_INTERVAL = 1.0
"""Minimum seconds between log lines about refusals for the same reason, so that refused callers cannot fill the log."""


class Needs(NamedTuple):
    """Any of the roles; `everywhere`: for all tenants, because the route concerns more than one."""

    roles: frozenset[Role]
    everywhere: bool = False


def _any(*roles: Role, everywhere: bool = False) -> Needs:
    return Needs(frozenset(roles), everywhere)


_STATE, _CONTENTS = _any(Role.VIEWER, Role.DECIDE), _any(Role.CONTENTS)
_ASKED = _any(Role.CONTENTS, Role.DECIDE)
_ALL = _any(Role.OPERATE, everywhere=True)

NEEDS: Mapping[str, Needs] = {
    "submit_task": _any(Role.SUBMIT),
    "upload_file": _any(Role.SUBMIT),
    "download_file": _CONTENTS,
    "list_runs": _any(Role.VIEWER),
    "list_approvals": _ASKED,
    "show_run": _STATE,
    "get_result": _ASKED,
    "show_trace": _STATE,
    "list_turns": _STATE,
    "show_turn": _CONTENTS,
    "show_journal": _CONTENTS,
    "show_task": _CONTENTS,
    "show_record": _STATE,
    "show_record_contents": _CONTENTS,
    "show_board": _STATE,
    "list_claims": _any(Role.VIEWER),
    "release_claim": _any(Role.OPERATE),
    "list_audit": _any(Role.OPERATE),
    "find_records": _any(Role.AUDIT),
    "export_records": _any(Role.AUDIT),
    "sum_costs": _any(Role.AUDIT),
    "follow_run": _STATE,
    "list_agents": _any(Role.VIEWER),
    "show_costs": _any(Role.VIEWER),
    "show_tenant_costs": _any(Role.VIEWER, everywhere=True),
    "decide_for_run": _any(Role.DECIDE),
    "withdraw_answer": _any(Role.DECIDE),
    "delegate_question": _any(Role.DECIDE),
    "carry_out_run": _any(Role.DECIDE),
    "cancel_run": _any(Role.SUBMIT, Role.OPERATE),
    "say_to_run": _any(Role.SUBMIT),
    "give_feedback": _any(Role.SUBMIT, Role.DECIDE),
    "pause_run": _any(Role.OPERATE),
    "resume_run": _any(Role.OPERATE),
    "list_sessions": _any(Role.VIEWER),
    "show_session": _STATE,
    "end_session": _any(Role.SUBMIT, Role.OPERATE),
    "list_memories": _any(Role.VIEWER),
    "show_memory": _CONTENTS,
    "search_memories": _CONTENTS,
    "correct_memory": _any(Role.CURATE),
    "pin_memory": _any(Role.CURATE),
    "unpin_memory": _any(Role.CURATE),
    "confirm_memory": _any(Role.CURATE),
    "forget_memory": _any(Role.CURATE, Role.FORGET),
    "forget_selection": _any(Role.FORGET),
    "list_forgettings": _any(Role.FORGET),
    "show_forgetting": _any(Role.FORGET),
    "act_on_runs": _any(Role.OPERATE),
    "stop": _any(Role.OPERATE),
    "start": _any(Role.OPERATE),
    "list_stops": _ALL,
    "list_topics": _ALL,
    "show_topic": _ALL,
    "peek_records": _ALL,
    "check_swarm": _ALL,
    "count_runs": _any(Role.VIEWER),
    "skip_batch": _ALL,
    "list_dead_letters": _ALL,
    "show_dead_letter": _ALL,
    "redrive_dead_letter": _ALL,
    "discard_dead_letter": _ALL,
    "edit_dead_letter": _ALL,
    "redrive_dead_letters": _ALL,
    "discard_dead_letters": _ALL,
    "show_metrics": _ALL,
}
"""Needs by the name of the route's function. Routes about states withhold contents: `services/gateway/contents.py`."""


@dataclass(slots=True)
class Refusals:
    """Counts refusals and logs them, at most once a second per reason."""

    metrics: Metrics
    record: Callable[[str, str | None, str, str], None] | None = None
    """Takes reason, name, peer and path for the audit record."""
    _logged: dict[str, tuple[float, int]] = field(default_factory=dict)

    def note(self, reason: str, name: str | None, scope: Scope) -> None:
        """Count a refusal. `reason`: `unknown_host`, `cross_site`, `no_key`, `unknown_key`, `role`, `tenant`.

        For people of an identity provider also `bad_token`, `no_person`, `no_grant`.
        """
        self.metrics.refusals.labels(reason).inc()
        peer = (scope.get("client") or ("",))[0]
        if self.record is not None:
            self.record(reason, name, peer, scope["path"])
        last, suppressed = self._logged.get(reason, (-LOG_INTERVAL, 0))
        now = time.monotonic()
        if now - last < LOG_INTERVAL:
            self._logged[reason] = last, suppressed + 1
            return
        self._logged[reason] = now, 0
        fields = {"peer": peer, "path": scope["path"], "suppressed": suppressed}
        log.warning("request_refused", reason=reason, principal=name, **fields)


@dataclass(frozen=True, slots=True)
class Caller:
    """The author of a request. Without a principal the gateway requires no key, and every caller may do everything."""

    name: str | None
    principal: Principal | None
    refusals: Refusals
    scope: Scope

    def may(self, role: Role) -> bool:
        """Return true for a caller with the role."""
        return self.principal is None or role in self.principal.roles

    def need(self, route: str) -> None:
        """Check the caller against the needs of the route. Raises Refused 403."""
        if self.principal is None:
            return
        needs = NEEDS.get(route, Needs(frozenset()))
        if not needs.roles & {*self.principal.roles}:
            wanted = f"the role {' or '.join(sorted(needs.roles))}" if needs.roles else "a role that no key has"
            action = f"ask an operator for the role; `{self.name}` has: {', '.join(self.principal.roles)}"
            raise self._refused("role", f"this request needs {wanted}", action)
        if needs.everywhere:
            self.act_for(EVERY)

    def need_also(self, role: Role, subject: str) -> None:
        """Check for a role that only some requests of a route need. Raises Refused 403."""
        if self.principal is not None and role not in self.principal.roles:
            action = f"ask an operator for the role; `{self.name}` has: {', '.join(self.principal.roles)}"
            raise self._refused("role", f"{subject} needs the role {role}, too", action)

    def act_for(self, tenant: str) -> str:
        """Return the tenant. Raises Refused 403 if the caller may not act for it."""
        if self.principal is None or self.principal.acts_for(tenant):
            return tenant
        subject = "all tenants at once" if tenant == EVERY else f"tenant `{tenant}`"
        action = f"name one of the key's tenants (?tenant=…, --tenant …): {', '.join(self.principal.tenants)}"
        raise self._refused("tenant", f"`{self.name}` may not act for {subject}", action)

    def acting_name(self, claimed: str | None) -> str:
        """Return the author of a command: the key's owner, else the claimed name. Raises Refused 422 without either."""
        name = self.name or claimed
        if name is None:
            raise Refused(422, "invalid_request", "body.by: Field required", action="name the author in `by`")
        return name

    def _refused(self, reason: str, message: str, action: str) -> Refused:
        self.refusals.note(reason, self.name, self.scope)
        return Refused(403, "forbidden", message, action=action)
