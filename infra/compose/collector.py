"""Fields that the OpenTelemetry collector's documentation allows for the components of our configuration."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from infra.compose.reading import settings_file

Endpoint = Annotated[str, Field(pattern=r"^[a-z0-9.-]+:\d+$")]
Duration = Annotated[str, Field(pattern=r"^\d+(ms|s|m)$")]
Percent = Annotated[int, Field(gt=0, le=100)]


class ConfigPart(BaseModel):
    """Part of the configuration. Refuses unknown names, as the collector does."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Listener(ConfigPart):
    """Endpoint of a protocol."""

    endpoint: Endpoint


class Protocols(ConfigPart):
    """Protocols of OTLP."""

    http: Listener
    grpc: Listener


class Otlp(ConfigPart):
    """The receiver `otlp`."""

    protocols: Protocols


class Receivers(ConfigPart):
    """Receivers in use."""

    otlp: Otlp


class MemoryLimiter(ConfigPart):
    """The processor `memory_limiter`."""

    check_interval: Duration
    limit_percentage: Percent
    spike_limit_percentage: Percent


class Batch(ConfigPart):
    """The processor `batch`."""

    timeout: Duration


class Processors(ConfigPart):
    """Processors in use."""

    memory_limiter: MemoryLimiter
    batch: Batch


class Tls(ConfigPart):
    """TLS settings of an exporter."""

    insecure: bool


class Exporter(ConfigPart):
    """An exporter `otlp`."""

    endpoint: Endpoint
    tls: Tls


class Pipeline(ConfigPart):
    """Receivers, processors and exporters of a pipeline."""

    receivers: list[str]
    processors: list[str]
    exporters: list[str]


class Service(ConfigPart):
    """Extensions and pipelines in use."""

    extensions: list[str]
    pipelines: dict[str, Pipeline]
    telemetry: dict[str, Any]


class Extensions(ConfigPart):
    """Extensions in use."""

    health_check: Listener


class Collector(ConfigPart):
    """The complete configuration."""

    receivers: Receivers
    processors: Processors
    exporters: dict[str, Exporter]
    extensions: Extensions
    service: Service

    @model_validator(mode="after")
    def _pipelines_name_what_is_declared(self) -> "Collector":
        for name, pipeline in self.service.pipelines.items():
            declared = {"otlp"}, {"memory_limiter", "batch"}, self.exporters.keys()
            used = pipeline.receivers, pipeline.processors, pipeline.exporters
            unknown = [part for known, names in zip(declared, used, strict=True) for part in names if part not in known]
            if unknown:
                raise ValueError(f"pipeline {name} names {', '.join(unknown)}, which is not declared")
            if pipeline.processors[0] != "memory_limiter":
                raise ValueError(f"pipeline {name}: memory_limiter must come first")
        return self


def problems(path: Path) -> list[str]:
    """Return the problems of the file."""
    try:
        Collector.model_validate(settings_file(path))
    except ValidationError as wrong:
        return [f"{path.name}: {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in wrong.errors()]
    return []
