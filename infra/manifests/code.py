"""What the code says of itself, for comparison with the manifests: services, topics, groups, settings, routes."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from infra.topics import agents, declared
from schemas.publish.asyncapi import asyncapi
from shared.bus.groups import TIMEKEEPER, groups_by_topic
from shared.config import Settings, variable
from shared.service.http import health_routes

ROOT = Path(__file__).parents[2]
NOT_DEPLOYED = frozenset({"cli"})
"""The command line runs where its user is."""

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
"""Variables that are read by matplotlib and by OpenTelemetry, not by our settings."""


def services() -> set[str]:
    """Every service that runs in a cluster: its folder's name."""
    return {path.parent.name for path in (ROOT / "services").glob("*/__main__.py")} - NOT_DEPLOYED


def runnable(module: str) -> bool:
    """Whether `python -m` does something with it."""
    place = ROOT.joinpath(*module.split("."))
    file = place.with_suffix(".py")
    return (place / "__main__.py").exists() or (file.exists() and '__name__ == "__main__"' in file.read_text())


def variables() -> Mapping[str, str]:
    """The environment variables the settings are read from, each with its field."""
    return {variable(name, field): name for name, field in Settings.model_fields.items()}


def routes() -> set[str]:
    """The paths that every service answers."""

    async def healthy() -> bool:
        return True

    return {path for path, _ in health_routes(healthy)} | {"/metrics"}


@cache
def partitions() -> Mapping[str, int]:
    """Of every topic, its name without the prefix."""
    return {topic.name: topic.partitions for topic in declared()}


@cache
def consumed() -> Mapping[str, tuple[str, ...]]:
    """What each service consumes in its group, without the prefix."""
    found: dict[str, tuple[str, ...]] = {}
    for topic, groups in groups_by_topic("", agents()).items():
        for group in groups:
            found[group] = (*found.get(group, ()), topic)
    return found


def committing() -> set[str]:
    """The services whose lag says what they have to do: those that commit."""
    return {service for service in consumed() if service != TIMEKEEPER}


@cache
def published(who: str, verb: str) -> frozenset[str]:
    """The topics that a role `sends` or `receives`, as the published AsyncAPI document says."""
    start = f"{who}-{verb}-"
    return frozenset(key.removeprefix(start) for key in asyncapi()["operations"] if key.startswith(start))
