"""Rules of the compose file beyond its schema. Each returns one sentence per problem."""

import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec

from infra.compose.content import shipped
from infra.compose.reading import Compose, Model, Mount, example, mounts, settings_file
from infra.embedded.stack import service_names
from infra.entrusted import SECRETS, entrusted, too_many
from infra.kafka import broker
from infra.variables import variables_read_by

STANDARD = frozenset(
    {
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "OTEL_TRACES_SAMPLER",
        "OTEL_TRACES_SAMPLER_ARG",
    }
)
"""Variables of OpenTelemetry's specification that our services' SDK reads."""

FOREIGN = {
    "kafka": re.compile(r"CLUSTER_ID|KAFKA_[A-Z_]+"),
    "postgres": re.compile(r"POSTGRES_(USER|DB|PASSWORD)"),
    "mail": re.compile(r"MP_[A-Z_]+"),
    "grafana": re.compile(r"GF_[A-Z]+_[A-Z_]+"),
    "kafka-ui": re.compile(r"KAFKA_CLUSTERS_0_(NAME|BOOTSTRAPSERVERS|READONLY)|JAVA_OPTS"),
}
"""Variables that the documentation of other images names."""

PORTS = {
    "kafka": {9092, 9094},
    "redis": {6379},
    "postgres": {5432},
    "mail": {1025, 8025},
    "collector": {4317, 4318, 8888, 13133},
    "jaeger": {4317, 13133, 16686},
    "prometheus": {9090},
    "grafana": {3000},
    "kafka-ui": {8080},
}
"""Ports of other images, from their documentation and their configuration."""

UNASKED = frozenset({"collector"})
"""Images without a program for a health check: another container checks them."""

_ADDRESS = re.compile(r"(?<![\w.-])([a-z][a-z0-9-]*):(\d{2,5})(?!\d)")
_SECRET = re.compile(r"PASSWORD|KEY$|SECRET|TOKEN")
_SOURCE = re.compile(r'"datasource":\s*\{[^}]*"uid":\s*"([^"]*)"')
_OWN_PORT = 8080

Rule = Callable[[Compose], Iterator[str]]


def problems(compose: Compose) -> list[str]:
    """Return all problems."""
    return [found for rule in RULES for found in rule(compose)]


def _every_service_is_there(compose: Compose) -> Iterator[str]:
    present = {model["build"]["args"]["SERVICE"]: name for name, model in compose.swarm().items()}
    for name in service_names(compose.root):
        if present.get(name) != name:
            yield f"services/{name} has no stanza in docker-compose.yml: add one like its neighbours'"
    for name in present.keys() - set(service_names(compose.root)):
        yield f"{present[name]}: there is no folder services/{name}"


def _prometheus_asks_every_service(compose: Compose) -> Iterator[str]:
    config = settings_file(compose.root / "infra" / "prometheus" / "prometheus.yml")
    (job,) = [job for job in config["scrape_configs"] if job["job_name"] == "waggle"]
    asked = {name: str(each["port"]) for each in job["dns_sd_configs"] for name in each["names"]}
    there = {name: _metrics_port(model) for name, model in compose.swarm().items()}
    for name in sorted(asked.keys() | there.keys()):
        if asked.get(name) != there.get(name):
            yield f"infra/prometheus/prometheus.yml and docker-compose.yml differ in `{name}`"


def _metrics_port(model: Model) -> str:
    environment = model.get("environment", {})
    return str(environment.get("WAGGLE_METRICS_PORT") or environment["WAGGLE_HTTP_PORT"])


def _dashboards_ask_sources_there_are(compose: Compose) -> Iterator[str]:
    grafana = compose.root / "infra" / "grafana"
    sources = settings_file(grafana / "provisioning" / "datasources" / "waggle.yml")["datasources"]
    for path in sorted((grafana / "dashboards").glob("*.json")):
        asked = set(_SOURCE.findall(path.read_text())) - {source["uid"] for source in sources}
        yield from (
            f"infra/grafana/dashboards/{path.name}: no data source has the uid `{uid}`" for uid in sorted(asked)
        )


def _variables_are_in_the_example(compose: Compose) -> Iterator[str]:
    listed = example(compose.root)
    for name in compose.variables ^ (listed.keys() - {"COMPOSE_PROFILES"}):
        yield f"{name} is in only one of docker-compose.yml and .env.example"
    for name, value in listed.items():
        if _SECRET.search(name) and value:
            yield f".env.example gives {name} a value: leave it empty"


def _variables_are_settings(compose: Compose) -> Iterator[str]:
    for name, model in compose.services.items():
        for variable in model.get("environment", {}):
            if name in compose.ours() and variable not in known_variables(_service(name, model)):
                yield f"{name}: {variable} is neither a setting of this service nor a standard variable"
            if name in FOREIGN and not FOREIGN[name].fullmatch(variable):
                yield f"{name}: its image knows no {variable}"


def _service(name: str, model: Model) -> str:
    """Return the service that a container of ours runs; its own name if it runs another command."""
    return name if "command" in model else str(model["build"]["args"]["SERVICE"])


def known_variables(service: str) -> frozenset[str]:
    """Return every variable a service reads."""
    return STANDARD | variables_read_by(service)


def _secrets_are_with_who_uses_them(compose: Compose) -> Iterator[str]:
    swarm = compose.swarm()
    for name, model in compose.ours().items():
        given = model.get("environment", {})
        excess = too_many(name, given) if name in swarm else sorted(SECRETS & given.keys())
        yield from (f"{name}: it gets {variable}, which it does not use" for variable in excess)
    for name, model in swarm.items():
        missing = {"WAGGLE_REDIS", "WAGGLE_POSTGRES"} & entrusted(name) - model["environment"].keys()
        yield from (f"{name}: it does not get {variable}" for variable in sorted(missing))


def _addresses_lead_somewhere(compose: Compose) -> Iterator[str]:
    for name, model in compose.services.items():
        said = [*map(str, model.get("environment", {}).values()), *_words(model, "command"), *_test(model)]
        for host, port in (found for text in said for found in _ADDRESS.findall(text)):
            if host != "localhost" and int(port) not in _ports(compose, host) | _controller(name):
                yield f"{name}: nothing listens at {host}:{port}"


def _controller(name: str) -> set[int]:
    return {9093} if name == "kafka" else set()


def _ports(compose: Compose, name: str) -> set[int]:
    return {_OWN_PORT} if name in compose.ours() else PORTS.get(name, set()) if name in compose.services else set()


def _published_ports_are_listened_on(compose: Compose) -> Iterator[str]:
    for name, model in compose.services.items():
        for published in model.get("ports", ()):
            address, _, rest = published.partition(":")
            if int(rest.rpartition(":")[2]) not in _ports(compose, name):
                yield f"{name}: it does not listen on the port that {published} publishes"
            if address != "127.0.0.1":
                yield f"{name}: {published} is published beyond loopback by default"


def _sources_exist(compose: Compose) -> Iterator[str]:
    used = set()
    for name, model in compose.services.items():
        for mount in mounts(model):
            if mount.named:
                used.add(mount.source)
            elif not (compose.root / mount.source).exists():
                yield f"{name}: there is no {mount.source}"
    for volume in used ^ compose.volumes:
        yield f"volume {volume} is not both declared and used"


def _named_files_are_mounted(compose: Compose) -> Iterator[str]:
    for name, model in compose.services.items():
        for path in re.findall(r"--config[.a-z]*=(\S+)", " ".join(_words(model, "command"))):
            places = [compose.root / m.source / path[len(m.target) :].lstrip("/") for m in _over(model, path)]
            if not any(place.exists() for place in places):
                yield f"{name}: {path} does not exist when it starts"


def _over(model: Model, path: str) -> list[Mount]:
    return [mount for mount in mounts(model) if path.startswith(mount.target)]


def _modules_are_in_the_image(compose: Compose) -> Iterator[str]:
    inside = set(shipped(compose.root))
    for name, model in compose.ours().items():
        for words in (_words(model, "command"), _test(model)):
            for module in (words[place + 1] for place, word in enumerate(words) if word == "-m"):
                path = module.replace(".", "/")
                if find_spec(module) is None or not {path, f"{path}.py"} & inside:
                    yield f"{name}: the image has no module {module}"


def _health_is_asked(compose: Compose) -> Iterator[str]:
    for name, model in compose.services.items():
        once = model.get("restart", "").startswith("on-failure")
        if not _test(model) and not once and name not in UNASKED:
            yield f"{name}: it has no health check"
        for other, wanted in model.get("depends_on", {}).items():
            yield from _waits(compose, name, other, wanted["condition"])


def _waits(compose: Compose, name: str, other: str, condition: str) -> Iterator[str]:
    awaited = compose.services.get(other)
    if awaited is None:
        yield f"{name}: it waits for {other}, which does not exist"
    elif condition == "service_healthy" and not _test(awaited):
        yield f"{name}: waits for {other} to be healthy, which has no health check"
    elif condition == "service_completed_successfully" and not awaited["restart"].startswith("on-failure"):
        yield f"{name}: waits for {other} to end, which keeps running"
    elif "core" in compose.services[name]["profiles"] and "core" not in awaited["profiles"]:
        yield f"{name}: waits for {other}, which the profile core does not start"


def _services_wait_for_topics(compose: Compose) -> Iterator[str]:
    for name, model in compose.swarm().items():
        if model.get("depends_on", {}).get("topics", {}).get("condition") != "service_completed_successfully":
            yield f"{name}: does not wait for the topics"


def _containers_are_confined(compose: Compose) -> Iterator[str]:
    for name, model in compose.services.items():
        if not {"cpus", "memory"} <= model.get("deploy", {}).get("resources", {}).get("limits", {}).keys():
            yield f"{name}: has no limits"
        if not set(model.get("profiles", ())) <= {"core", "observability"} or not model.get("profiles"):
            yield f"{name}: is in no known profile"
        if model["image"].rpartition(":")[2] in {"latest", ""} or ":" not in model["image"]:
            yield f"{name}: its image is not pinned"
    for name, model in compose.ours().items():
        if not (model.get("read_only") and model.get("cap_drop") == ["ALL"] and model.get("security_opt")):
            yield f"{name}: may do more than it needs: read_only, cap_drop and security_opt"


def _kafka_is_the_kafka_of_the_tests(compose: Compose) -> Iterator[str]:
    environment = compose.services["kafka"]["environment"]
    for line in broker._CONFIGURATION.splitlines():  # noqa: SLF001 -- what both are compared with
        name, _, value = line.partition("=")
        variable = f"KAFKA_{name.upper().replace('.', '_')}"
        if variable not in environment:
            yield f"kafka: {variable} is missing, which the Kafka of the tests sets"
        elif "{" not in value and "CONTROLLER" not in value and environment[variable] != value:
            yield f"kafka: {variable} is not {value}, as the Kafka of the tests has it"


def _test(model: Model) -> list[str]:
    test = model.get("healthcheck", {}).get("test", [])
    return [] if model.get("healthcheck", {}).get("disable") else test


def _words(model: Model, part: str) -> list[str]:
    return [str(word) for word in model.get(part, ())]


RULES: tuple[Rule, ...] = (
    _every_service_is_there,
    _prometheus_asks_every_service,
    _dashboards_ask_sources_there_are,
    _variables_are_in_the_example,
    _variables_are_settings,
    _secrets_are_with_who_uses_them,
    _addresses_lead_somewhere,
    _published_ports_are_listened_on,
    _sources_exist,
    _named_files_are_mounted,
    _modules_are_in_the_image,
    _health_is_asked,
    _services_wait_for_topics,
    _containers_are_confined,
    _kafka_is_the_kafka_of_the_tests,
)
