"""Whether the orchestrator will obey what people decide: the keys that decisions are signed with."""

from services.cli.checks.check_result import CheckResult, ok, warn
from shared.access.principals import Role, read_principals
from shared.access.settings import AccessSettings

MAKE = "`waggle keys gateway` makes a key for the gateway (docs/access.md)"


def check_decisions(settings: AccessSettings) -> list[CheckResult]:
    """What the settings let be obeyed, over HTTP and over Kafka."""
    principals = read_principals(settings.principals)
    if settings.unsigned_decisions == "accept":
        found = "decisions are obeyed without a signature: everybody who reaches Kafka or the gateway may decide"
        return [ok("decisions", found) if principals is None else warn("decisions", found, _REFUSE)]
    if principals is None:
        found = "every decision will be refused: WAGGLE_KEYS names no file of keys, and unsigned ones are not accepted"
        do = f"set WAGGLE_KEYS; {MAKE}; on a machine of your own: WAGGLE_UNSIGNED_DECISIONS=accept"
        return [warn("decisions", found, do)]
    if not any(Role.DECIDE in each.roles for each in principals.principals.values()):
        found = "every decision will be refused: no person in WAGGLE_KEYS has the role decide"
        return [warn("decisions", found, "give the role to those who decide")]
    if not principals.services:
        found = "decisions over HTTP will be refused: WAGGLE_KEYS has no [services.gateway]"
        return [warn("decisions", found, f"add it, and set the gateway's WAGGLE_SIGNING_KEY: {MAKE}")]
    return [ok("decisions", "the orchestrator obeys what the gateway or a person in WAGGLE_KEYS has signed")]


_REFUSE = "unset WAGGLE_UNSIGNED_DECISIONS: keys are known"
