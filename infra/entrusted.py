"""Secrets by service: one table for `docker-compose.yml` and `k8s/`.

A service's own Kafka password comes in addition. A variable in none of these rows is no secret.
"""

from collections.abc import Collection, Mapping

AGENT = frozenset({"WAGGLE_REDIS", "WAGGLE_POSTGRES", "OPENAI_API_KEY", "WAGGLE_MODEL_KEYS"})
"""Variables of every agent: state, files and models."""

ENTRUSTED: Mapping[str, frozenset[str]] = {
    "gateway": frozenset({"WAGGLE_REDIS", "WAGGLE_POSTGRES", "WAGGLE_KEYS", "WAGGLE_SIGNING_KEY"}),
    "orchestrator": frozenset({"WAGGLE_REDIS", "WAGGLE_POSTGRES", "WAGGLE_KEYS"}),
    "console": frozenset({"WAGGLE_REDIS", "WAGGLE_OIDC_SECRET"}),
    "notifier": frozenset({"WAGGLE_REDIS", "WAGGLE_POSTGRES", "WAGGLE_SMTP", "WAGGLE_NOTIFY_SECRETS"}),
    "archivist": frozenset({"WAGGLE_REDIS", "WAGGLE_POSTGRES"}),
    "evaluator": frozenset({"WAGGLE_REDIS", "WAGGLE_POSTGRES"}),
    "timekeeper": frozenset(),
    "communication": AGENT | {"WAGGLE_SMTP"},
    "data": AGENT | {"WAGGLE_DATABASES"},
}
"""Secrets by service. A service without a row is an ordinary agent."""

SECRETS = frozenset.union(AGENT, *ENTRUSTED.values())


def entrusted(service: str) -> frozenset[str]:
    """Return the secrets a service uses."""
    return ENTRUSTED.get(service, AGENT)


def too_many(service: str, given: Collection[str]) -> list[str]:
    """Return the secrets among these variables that the service does not use."""
    return sorted(SECRETS & set(given) - entrusted(service))
