"""Facts from the code for comparison with the manifests: services, topics, groups, settings, routes."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from infra.topics import agents, declared
from schemas.publish.asyncapi import asyncapi
from shared.bus.groups import TIMEKEEPER, groups_by_topic
from shared.config import Settings
from shared.service.http import health_routes

ROOT = Path(__file__).parents[2]
NOT_DEPLOYED = frozenset({"cli"})
"""The command line runs on the user's machine."""

PREFIX: str = Settings.model_fields["topic_prefix"].default

OF_LIBRARIES = frozenset(
    {
        "MPLCONFIGDIR",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "OTEL_RESOURCE_ATTRIBUTES",
        "OTEL_SERVICE_NAME",
        "OTEL_TRACES_SAMPLER",
        "OTEL_TRACES_SAMPLER_ARG",
    }
)
"""Variables read by matplotlib and OpenTelemetry, not by our settings."""


def services() -> set[str]:
    """Return every service that runs in a cluster, by its folder's name."""
    return {path.parent.name for path in (ROOT / "services").glob("*/__main__.py")} - NOT_DEPLOYED


def runnable(module: str) -> bool:
    """Return true if `python -m` runs it."""
    place = ROOT.joinpath(*module.split("."))
    file = place.with_suffix(".py")
    return (place / "__main__.py").exists() or (file.exists() and '__name__ == "__main__"' in file.read_text())


def routes() -> set[str]:
    """Return the paths that every service answers."""

    async def healthy() -> bool:
        return True

    return {path for path, _ in health_routes(healthy)} | {"/metrics"}


@cache
def partitions() -> Mapping[str, int]:
    """Return the partitions of every topic, by its name without the prefix."""
    return {topic.name: topic.partitions for topic in declared()}


@cache
def consumed() -> Mapping[str, tuple[str, ...]]:
    """Return the topics each service consumes in its group, without the prefix."""
    found: dict[str, tuple[str, ...]] = {}
    for topic, groups in groups_by_topic("", agents()).items():
        for group in groups:
            found[group] = (*found.get(group, ()), topic)
    return found


def committing() -> set[str]:
    """Return the services whose lag measures their load: those that commit."""
    return {service for service in consumed() if service != TIMEKEEPER}


@cache
def published(who: str, verb: str) -> frozenset[str]:
    """Return the topics that a role `sends` or `receives`, from the published AsyncAPI document."""
    start = f"{who}-{verb}-"
    return frozenset(key.removeprefix(start) for key in asyncapi()["operations"] if key.startswith(start))
