"""Check that the orchestrator will accept decisions: the keys that sign them."""

from services.cli.checks.check_result import CheckResult, ok, warn
from shared.access.principals import Role, read_principals
from shared.access.settings import AccessSettings

_CREATE = "`waggle keys gateway` creates a key for the gateway (docs/access.md)"


def check_decisions(settings: AccessSettings) -> list[CheckResult]:
    """Report which decisions are accepted, over HTTP and over Kafka."""
    principals = read_principals(settings.principals)
    if settings.unsigned_decisions == "accept":
        found = "unsigned decisions are accepted: anyone who reaches Kafka or the gateway may decide"
        return [ok("decisions", found) if principals is None else warn("decisions", found, _REFUSE)]
    if principals is None:
        found = "every decision will be refused: WAGGLE_KEYS is not set, and unsigned decisions are not accepted"
        do = f"set WAGGLE_KEYS; {_CREATE}; for local trials, WAGGLE_UNSIGNED_DECISIONS=accept"
        return [warn("decisions", found, do)]
    holders = [*principals.principals.values(), *(principals.oidc.grants.values() if principals.oidc else ())]
    if not any(Role.DECIDE in each.roles for each in holders):
        found = "every decision will be refused: no person in WAGGLE_KEYS has the role decide"
        return [warn("decisions", found, "give the role to those who may decide (docs/access.md)")]
    if not principals.services:
        found = "decisions over HTTP will be refused: WAGGLE_KEYS has no [services.gateway]"
        return [warn("decisions", found, f"add it, and set the gateway's WAGGLE_SIGNING_KEY: {_CREATE}")]
    return [ok("decisions", "the orchestrator accepts decisions signed by the gateway or a person in WAGGLE_KEYS")]


_REFUSE = "unset WAGGLE_UNSIGNED_DECISIONS, since keys are configured"
