"""Consistency of the manifests with this code: services, variables, ports, paths, times, names."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from infra.entrusted import entrusted
from infra.manifests import code
from infra.manifests.accepted import refused
from infra.manifests.held import excess
from infra.manifests.render import Object, called, of_kind, ours
from infra.manifests.secrets import given, missing
from infra.manifests.strimzi import object_name
from infra.variables import all_variables, variables_read_by
from shared.config import Settings
from shared.service import GRACE
from shared.service.http import KAFKA_WITHIN

CLOSING = 10.0
"""Seconds a service may need in addition to `GRACE`: five for open requests, and time to close connections."""

NEEDED = frozenset({"WAGGLE_KAFKA", "WAGGLE_HTTP_HOST", "WAGGLE_HTTP_PORT"})

STORES = frozenset({"WAGGLE_REDIS", "WAGGLE_POSTGRES"})
"""Required by a service that is entrusted with it."""
_REFERENCE = re.compile(r"\$\((\w+)\)")


def disagreements(objects: Sequence[Object], version: str) -> Iterator[str]:
    """Yield every difference between an overlay and the code."""
    yield from _services(objects)
    yield from missing(objects)
    yield from _decisions(objects)
    for each, container in ours(objects):
        for problem in (
            *_image(container, version),
            *_environment(objects, each["spec"]["template"]["spec"], container),
        ):
            yield f"{called(each)}: {problem}"
    for each in _deployments(objects):
        yield from excess(objects, each, service_of(each))
        for problem in (*_ports(objects, each), *_probes(each), *_times(each), *_identity(each)):
            yield f"{called(each)}: {problem}"


def _deployments(objects: Iterable[Object]) -> list[Object]:
    """Return the Deployments of services."""
    return [each for each, container in ours(objects) if container["command"][-1].startswith("services.")]


def _container(deployment: Object) -> Mapping[str, Any]:
    found: Mapping[str, Any] = deployment["spec"]["template"]["spec"]["containers"][0]
    return found


def service_of(deployment: Object) -> str:
    """Return the name of the folder that runs."""
    return str(_container(deployment)["command"][-1]).removeprefix("services.")


def _services(objects: Iterable[Object]) -> Iterator[str]:
    deployed = [service_of(each) for each in _deployments(objects)]
    for name in sorted(code.services() - set(deployed)):
        yield f"services/{name} is not deployed: k8s/base/{name} is missing, or not in k8s/base/kustomization.yaml"
    for name in sorted(set(deployed) - code.services()):
        yield f"Deployment for `{name}`: there is no services/{name}"
    for name in sorted({each for each in deployed if deployed.count(each) > 1}):
        yield f"services/{name} is deployed more than once"


def _decisions(objects: Sequence[Object]) -> Iterator[str]:
    """Yield missing settings for signed decisions, if the gateway requires keys: its key or the public half."""
    given_to = {service_of(each): given(objects, _container(each)) for each in _deployments(objects)}
    gateway, orchestrator = given_to.get("gateway", {}), given_to.get("orchestrator", {})
    if "WAGGLE_KEYS" in gateway:
        if "WAGGLE_SIGNING_KEY" not in gateway:
            yield "the gateway requires keys, and has no WAGGLE_SIGNING_KEY to sign decisions with"
        if "WAGGLE_KEYS" not in orchestrator:
            yield "the gateway signs decisions, and the orchestrator has no WAGGLE_KEYS to verify them"


def _image(container: Mapping[str, Any], version: str) -> Iterator[str]:
    tag = container["image"].rpartition(":")[2]
    if tag != version:
        yield f"its image is `{container['image']}`, but this is version {version}"
    command = container["command"]
    if command[:2] != ["python", "-m"] or not code.runnable(command[2]):
        yield f"`{' '.join(command)}` runs no runnable module"


def _environment(objects: Sequence[Object], pod: Mapping[str, Any], container: Mapping[str, Any]) -> Iterator[str]:
    known, environment = all_variables(), given(objects, container)
    referred = {name for value in environment.values() for name in _REFERENCE.findall(value or "")}
    for name in sorted(set(environment) - set(known) - code.OF_LIBRARIES - referred):
        yield f"nothing reads the variable {name}"
    for name in sorted(referred - set(environment)):
        yield f"$({name}) refers to a variable that is not set before it"
    module = container["command"][2]
    if module.startswith("services."):
        service = module.removeprefix("services.")
        needed = NEEDED | STORES & entrusted(service)
        yield from (f"{name} is not set" for name in sorted(needed - set(environment)))
        own = {each["name"] for each in container.get("env", ())}  # the shared ConfigMap has variables for all
        foreign = own & known.keys() - variables_read_by(service)
        yield from (f"it does not read the variable {name}, which another service does" for name in sorted(foreign))
    yield from refused(pod, container, environment)


def _ports(objects: Sequence[Object], deployment: Object) -> Iterator[str]:
    container = _container(deployment)
    environment = given(objects, container)
    http = environment.get("WAGGLE_HTTP_PORT") or str(Settings.model_fields["http_port"].default)
    apart = environment.get("WAGGLE_METRICS_PORT")
    wanted = {"http": http} | ({"metrics": apart} if apart else {})
    ports = {each["name"]: str(each["containerPort"]) for each in container.get("ports", ())}
    if ports != wanted:
        listens = " and ".join(wanted.values())
        yield f"it listens on {listens} (WAGGLE_HTTP_PORT, WAGGLE_METRICS_PORT), but names the ports {ports}"
    noted = deployment["spec"]["template"]["metadata"].get("annotations", {})
    if noted.get("prometheus.io/port") != (apart or http) or noted.get("prometheus.io/path") != "/metrics":
        yield f"its metrics are at {apart or http}/metrics, but Prometheus is configured otherwise"


def _probes(deployment: Object) -> Iterator[str]:
    container, routes = _container(deployment), code.routes()
    for probe, path in (("startupProbe", "/live"), ("livenessProbe", "/live"), ("readinessProbe", "/ready")):
        asked = container.get(probe, {}).get("httpGet", {})
        if asked.get("path") not in routes:
            yield f"its {probe} asks {asked.get('path')}; there are {', '.join(sorted(routes))}"
        elif asked["path"] != path:
            yield f"its {probe} asks {asked['path']}, which means something other than {path}"
        if asked.get("port") not in {each["name"] for each in container["ports"]}:
            yield f"its {probe} asks the port {asked.get('port')}, which it does not name"


def _times(deployment: Object) -> Iterator[str]:
    pod, container = deployment["spec"]["template"]["spec"], _container(deployment)
    before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    least = before + GRACE + CLOSING
    if (grace := pod.get("terminationGracePeriodSeconds", 30)) < least:
        yield f"it is killed after {grace} s, but may need {least:g} s to drain and close"
    startup = container.get("startupProbe", {})
    if (patience := startup.get("periodSeconds", 10) * startup.get("failureThreshold", 3)) <= KAFKA_WITHIN:
        yield f"it is killed after {patience} s of starting, but waits {KAFKA_WITHIN:g} s for Kafka"


def _identity(deployment: Object) -> Iterator[str]:
    """Require one name everywhere: of the object, its account, its Kafka user."""
    name = object_name(service_of(deployment))
    pod = deployment["spec"]["template"]["spec"]
    names = {deployment["metadata"]["name"], pod["serviceAccountName"]}
    names |= {
        each["value"] for each in _container(deployment).get("env", ()) if each["name"] == "WAGGLE_KAFKA_USERNAME"
    }
    if names != {name}:
        yield f"everything of services/{name} should be called {name}, not {', '.join(sorted(names - {name}))}"
    if pod.get("automountServiceAccountToken") is not False:
        yield "its pods get a token for the Kubernetes API, which nothing here uses"


def unprotected(objects: Sequence[Object]) -> Iterator[str]:
    """Yield pods that the namespace's restricted policy would refuse, and a namespace without that policy."""
    for each in of_kind(objects, "Namespace"):
        if each["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"{called(each)}: it does not enforce restricted pods"
    denying = [each for each in of_kind(objects, "NetworkPolicy") if each["spec"]["podSelector"] == {}]
    if not any(
        {"Ingress", "Egress"} <= set(each["spec"]["policyTypes"]) and len(each["spec"]) == 2 for each in denying
    ):
        yield "no NetworkPolicy denies all other traffic"
