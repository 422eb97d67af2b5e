"""What the code says of itself, for comparison with the manifests: services, topics, groups, settings, routes."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path

from infra.topics import agents, declared
from schemas.publishing.asyncapi import asyncapi
from shared.service import health_routes
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
NOT_DEPLOYED = frozenset({"console"})
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
    return {_variable(name): name for name in Settings.model_fields}


def _variable(name: str) -> str:
    choices = getattr(Settings.model_fields[name].validation_alias, "choices", None)
    return str(choices[0]) if choices else f"WAGGLE_{name.upper()}"


def routes() -> set[str]:
    """The paths that every service answers."""

    async def healthy() -> bool:
        return True

    return {path for path, _ in health_routes(healthy)} | {"/metrics"}


def partitions() -> Mapping[str, int]:
    """Of every topic, its name without the prefix."""
    return {topic.name: topic.partitions for topic in declared()}


@cache
def consumed() -> Mapping[str, tuple[str, ...]]:
    """What each service consumes in its group, as its module says. Loaded by name: infra is below the services."""
    orchestrator, timekeeper = (import_module(f"services.{each}.service") for each in ("orchestrator", "timekeeper"))
    return {
        "orchestrator": tuple(orchestrator.TOPICS),
        "timekeeper": (timekeeper.TOPIC,),
        **{name: (f"agents.{name}",) for name in agents()},
    }


def committing() -> set[str]:
    """The services whose lag says what they have to do: those that commit. The timekeeper never does."""
    return set(consumed()) - {"timekeeper"}


@cache
def published(who: str, verb: str) -> frozenset[str]:
    """The topics that a role `sends` or `receives`, as the published AsyncAPI document says."""
    start = f"{who}-{verb}-"
    return frozenset(key.removeprefix(start) for key in asyncapi()["operations"] if key.startswith(start))
