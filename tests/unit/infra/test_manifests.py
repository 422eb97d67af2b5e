"""The check of the manifests finds nothing in a rendered overlay, and each single thing that is broken in it."""

import shutil
from copy import deepcopy

import pytest

from infra.manifests import agree, code, generated, kafka, lint, stanza, strimzi
from infra.manifests.__main__ import problems, version
from infra.manifests.access import access
from infra.manifests.render import OVERLAYS, render
from infra.manifests.tools import installed, tools
from infra.manifests.valid import closed


@pytest.fixture(scope="session")
def there():
    if not installed():
        pytest.skip("the tools are not there: `make k8s-check` fetches and builds them, which takes minutes")
    return tools()


@pytest.fixture(scope="session")
def rendered(there):
    return {overlay: render(there.kustomize, overlay) for overlay in OVERLAYS}


@pytest.fixture
def production(rendered):
    return deepcopy(rendered["production"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nothing_is_wrong_with_an_overlay(overlay, rendered, there):
    assert list(problems(rendered[overlay], there)) == []


def test_the_linter_finds_only_what_is_excused_with_a_reason(rendered, there):
    found = [each for overlay in OVERLAYS for each in lint.findings(overlay, rendered[overlay], there)]
    assert found
    assert list(lint.unexcused(found, lint.exemptions())) == []


def test_the_generated_files_are_what_the_code_says():
    assert list(generated.stale()) == []


def test_only_the_gateway_and_who_puts_retries_back_may_write_orders():
    for topic in ("decisions", "control", "stops", "skips"):
        writers = {each for each in code.services() if topic in access(each).writes}
        assert writers == ({"gateway"} if topic in {"stops", "skips"} else {"gateway", "timekeeper"}), topic


def find(objects, kind, name):
    return next(each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name)


def container(objects, name="planner"):
    return find(objects, "Deployment", name)["spec"]["template"]["spec"]["containers"][0]


def metadata(objects, name="planner"):
    return find(objects, "ScaledObject", name)["spec"]["triggers"][0]["metadata"]


def variable(objects, name):
    return next(each for each in container(objects)["env"] if each["name"] == name)


def variable_from(name, secret):
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": "x"}}}


KEYS = {
    "name": "keys",
    "projected": {
        "sources": [{"secret": {"name": "waggle-keys", "items": [{"key": "keys.toml", "path": "keys.toml"}]}}]
    },
}


def pod(objects, name):
    return find(objects, "Deployment", name)["spec"]["template"]["spec"]


def mount(objects, name):
    return next(each for each in container(objects)["volumeMounts"] if each["name"] == name)


def settings(objects):
    maps = [each for each in objects if each["kind"] == "ConfigMap"]
    return next(each["data"] for each in maps if each["metadata"]["name"].startswith("waggle-settings"))


def drop(objects, kind, name):
    objects.remove(find(objects, kind, name))


def rule(objects, name="planner"):
    return find(objects, "KafkaUser", name)["spec"]["authorization"]["acls"][0]


BROKEN = {
    "a misspelt field of Kubernetes": (
        lambda o: container(o).update(livenesProbe={}),
        "livenesProbe",
    ),
    "a misspelt field of Strimzi": (
        lambda o: find(o, "KafkaTopic", "waggle.tasks")["spec"].update(partition=4),
        "partition",
    ),
    "a misspelt field of KEDA": (
        lambda o: find(o, "ScaledObject", "planner")["spec"].update(maxReplicas=4),
        "maxReplicas",
    ),
    "a misspelt field of External Secrets": (
        lambda o: find(o, "ExternalSecret", "gateway-secrets")["spec"].update(refresh="1h"),
        "refresh",
    ),
    "a wrong value for CloudNativePG": (
        lambda o: find(o, "Cluster", "waggle-postgres")["spec"].update(instances="three"),
        "three",
    ),
    "a kind nobody knows": (lambda o: find(o, "Kafka", "waggle").update(apiVersion="kafka.strimzi.io/v9"), "no schema"),
    "a service that is not deployed": (
        lambda o: drop(o, "Deployment", "research"),
        "services/research is not deployed",
    ),
    "a service there is not": (
        lambda o: container(o).update(command=["python", "-m", "services.plannner"]),
        "there is no services/plannner",
    ),
    "a variable nobody reads": (
        lambda o: container(o)["env"].append({"name": "WAGGLE_KAFKAA", "value": "kafka:9092"}),
        "nothing reads the variable WAGGLE_KAFKAA",
    ),
    "a variable of another service": (
        lambda o: container(o, "planner")["env"].append({"name": "WAGGLE_METRICS_PORT", "value": "9464"}),
        "it does not read the variable WAGGLE_METRICS_PORT, which another service does",
    ),
    "a setting nobody reads": (lambda o: settings(o).update(WAGGLE_LOGLEVEL="INFO"), "nothing reads the variable"),
    "a value the settings refuse": (
        lambda o: settings(o).update(WAGGLE_SANDBOX="docker"),
        "the settings refuse WAGGLE_SANDBOX",
    ),
    "a user without a password": (
        lambda o: container(o)["env"].remove(variable(o, "WAGGLE_KAFKA_PASSWORD")),
        "the settings refuse WAGGLE_KAFKA_PASSWORD is missing",
    ),
    "keys that nobody brings": (
        lambda o: drop(o, "ExternalSecret", "waggle-keys"),
        "nothing creates the Secret waggle-keys with the key keys.toml",
    ),
    "certificates that nobody mounts": (
        lambda o: container(o, "gateway").update(volumeMounts=[]),
        "the settings refuse WAGGLE_KAFKA_CA",
    ),
    "a file that nobody mounts": (
        lambda o: container(o, "gateway").update(volumeMounts=trusted(container(o, "gateway")["volumeMounts"])),
        "the settings refuse WAGGLE_KEYS",
    ),
    "tenants that nobody writes down": (
        lambda o: o.remove(next(each for each in o if "tenants.toml" in each.get("data", ()))),
        "nothing creates the ConfigMap waggle-rules",
    ),
    "metrics that Prometheus looks for elsewhere": (
        lambda o: find(o, "Deployment", "gateway")["spec"]["template"]["metadata"]["annotations"].update(
            {"prometheus.io/port": "8080"}
        ),
        "its metrics are at 9464/metrics",
    ),
    "credentials that nobody asks for": (
        lambda o: settings(o).update(WAGGLE_KAFKA_SECURITY_PROTOCOL="SSL"),
        "the settings refuse WAGGLE_KAFKA_USERNAME is set but not used",
    ),
    "an authority that is not mounted": (
        lambda o: settings(o).update(WAGGLE_KAFKA_CA="/etc/waggle/trust/kafkaa.pem"),
        "WAGGLE_KAFKA_CA names a file that cannot be read: /etc/waggle/trust/kafkaa.pem",
    ),
    "authorities that are not mounted": (
        lambda o: container(o)["volumeMounts"].remove(mount(o, "trust")),
        "/etc/waggle/trust/postgres.pem",
    ),
    "a setting that is missing": (lambda o: settings(o).pop("WAGGLE_KAFKA"), "WAGGLE_KAFKA is not set"),
    "a reference to nothing": (
        lambda o: variable(o, "WAGGLE_POSTGRES").update(value="postgresql://$(NOBODY)@db/waggle"),
        "$(NOBODY)",
    ),
    "another port": (lambda o: settings(o).update(WAGGLE_HTTP_PORT="8081"), "listens on 8081"),
    "a probe of a path there is not": (
        lambda o: container(o)["livenessProbe"]["httpGet"].update(path="/healthz"),
        "asks /healthz",
    ),
    "liveness that asks for readiness": (
        lambda o: container(o)["livenessProbe"]["httpGet"].update(path="/ready"),
        "means something other",
    ),
    "a probe of a port there is not": (
        lambda o: container(o)["readinessProbe"]["httpGet"].update(port="web"),
        "port web",
    ),
    "no time to drain": (
        lambda o: find(o, "Deployment", "planner")["spec"]["template"]["spec"].update(terminationGracePeriodSeconds=15),
        "may need 25 s",
    ),
    "no time to start": (lambda o: container(o)["startupProbe"].update(failureThreshold=5), "waits 30 s for Kafka"),
    "another version's image": (
        lambda o: container(o).update(image="registry.example.com/waggle:0.0.1"),
        "this is version",
    ),
    "a token nobody needs": (
        lambda o: find(o, "Deployment", "planner")["spec"]["template"]["spec"].pop("automountServiceAccountToken"),
        "get a token",
    ),
    "another service's Kafka user": (
        lambda o: variable(o, "WAGGLE_KAFKA_USERNAME").update(value="gateway"),
        "should be called planner",
    ),
    "a secret that nothing creates": (lambda o: drop(o, "ExternalSecret", "waggle-redis-ca"), "Secret waggle-redis-ca"),
    "a key that nothing creates": (
        lambda o: variable(o, "WAGGLE_KAFKA_PASSWORD")["valueFrom"]["secretKeyRef"].update(key="pass"),
        "with the key pass",
    ),
    "scaling by a group there is not": (lambda o: metadata(o).update(consumerGroup="waggle.planners"), "no group"),
    "scaling by a topic there is not": (
        lambda o: metadata(o).update(topic="waggle.agents.plan"),
        "nothing scales planner",
    ),
    "scaling by another service's lag": (
        lambda o: metadata(o).update(consumerGroup="waggle.data", topic="waggle.agents.data"),
        "by the lag of data",
    ),
    "more replicas than partitions": (
        lambda o: find(o, "ScaledObject", "planner")["spec"].update(maxReplicaCount=5),
        "5 replicas are more than the 4 partitions",
    ),
    "a word KEDA does not know": (lambda o: metadata(o).update(lagTreshold="8"), "lagTreshold"),
    "servers that only their own namespace finds": (
        lambda o: metadata(o).update(bootstrapServers="waggle-kafka-bootstrap:9093"),
        "KEDA queries from its own namespace, where waggle-kafka-bootstrap does not resolve",
    ),
    "a topic of the orchestrator nobody watches": (
        lambda o: find(o, "ScaledObject", "orchestrator")["spec"]["triggers"].pop(),
        "nothing scales orchestrator",
    ),
    "a topic that is not made": (lambda o: drop(o, "KafkaTopic", "waggle.journal"), "no KafkaTopic for waggle.journal"),
    "a topic with fewer partitions": (
        lambda o: find(o, "KafkaTopic", "waggle.journal")["spec"].update(partitions=1),
        "differs from infra/topics.toml",
    ),
    "a service without a user": (lambda o: drop(o, "KafkaUser", "data"), "no KafkaUser for data"),
    "a consumer that may not read its topic": (
        lambda o: rule(o).update(operations=["Describe"]),
        "may not read the topic waggle.agents.planner",
    ),
    "a service that no policy lets out": (
        lambda o: drop(o, "NetworkPolicy", "to-stores"),
        "Deployment/planner: no NetworkPolicy lets it reach 9093, where WAGGLE_KAFKA is",
    ),
    "a right on everything": (
        lambda o: rule(o)["resource"].update(name="waggle.", patternType="prefix"),
        "everything that begins with",
    ),
    "a right nobody needs": (lambda o: rule(o).update(operations=["All"]), "which no service does"),
    "deleting for another service": (lambda o: rule(o).update(operations=["Delete"]), "which no service does"),
    "a broker that refuses dead letters": (
        lambda o: find(o, "Kafka", "waggle")["spec"]["kafka"]["config"].update({"message.max.bytes": 1048576}),
        "below the 9437184 bytes",
    ),
    "a Secret of another service": (
        lambda o: container(o, "code")["envFrom"][1]["secretRef"].update(name="communication-secrets"),
        "Deployment/code: it gets WAGGLE_SMTP, which it does not use",
    ),
    "a model's key where none is asked": (
        lambda o: container(o, "gateway")["env"].append(variable_from("OPENAI_API_KEY", "planner-secrets")),
        "Deployment/gateway: it gets OPENAI_API_KEY, which it does not use",
    ),
    "a password of Postgres where there is no archive": (
        lambda o: container(o, "timekeeper")["env"].append(variable_from("POSTGRES_PASSWORD", "waggle-postgres-app")),
        "Deployment/timekeeper: it gets POSTGRES_PASSWORD, which it does not use",
    ),
    "keys that an agent can read": (
        lambda o: pod(o, "code")["volumes"].append(KEYS),
        "Deployment/code: it gets the file keys.toml of the Secret waggle-keys, which it does not use",
    ),
    "a gateway that cannot sign": (
        lambda o: find(o, "ExternalSecret", "gateway-secrets")["spec"]["data"].pop(),
        "no WAGGLE_SIGNING_KEY to sign decisions with",
    ),
    "an orchestrator that knows no keys": (
        lambda o: container(o, "orchestrator")["env"].remove(
            next(each for each in container(o, "orchestrator")["env"] if each["name"] == "WAGGLE_KEYS")
        ),
        "the orchestrator has no WAGGLE_KEYS",
    ),
    "no default-deny": (lambda o: drop(o, "NetworkPolicy", "default-deny"), "no NetworkPolicy denies"),
    "a namespace that refuses nothing": (
        lambda o: find(o, "Namespace", "waggle")["metadata"]["labels"].clear(),
        "does not enforce restricted",
    ),
}


def trusted(mounts):
    """Return the mounts of certificates alone."""
    return [each for each in mounts if "trust" in each["mountPath"]]


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_manifest_is_found(what, production, there):
    breaks, says = BROKEN[what]
    breaks(production)
    found = list(problems(production, there))
    assert any(says in each for each in found), found


def test_a_container_that_may_write_its_root_is_found_by_the_linter(production, there):
    container(production)["securityContext"]["readOnlyRootFilesystem"] = False
    left = list(lint.unexcused(lint.findings("production", production, there), lint.exemptions()))
    assert any("planner: container-security-context-readonlyrootfilesystem" in each for each in left)


def test_an_excuse_for_nothing_is_found():
    excuse = lint.Exemption(check="pod-probes", overlays="*", objects="*", reason="none")
    assert list(lint.unexcused([], [excuse])) == ["exceptions.toml: pod-probes for * in * excuses nothing: remove it"]


def test_a_hand_edited_generated_file_is_found(tmp_path):
    users = next(path for path in generated.write(tmp_path) if path.name == "users.yaml")
    assert list(generated.stale(tmp_path)) == []
    users.write_text(users.read_text().replace("Read", "All", 1))
    assert [each.partition(" ")[0] for each in generated.stale(tmp_path)] == [str(strimzi.FOLDER / "users.yaml")]


def test_an_open_schema_is_left_open_and_a_closed_one_refuses_what_it_does_not_name():
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"a": {}}}
    named = closed({"type": "object", "properties": {"free": free, "b": {"type": "object"}}})
    assert named["additionalProperties"] is False
    assert "additionalProperties" not in named["properties"]["free"]
    assert "additionalProperties" not in named["properties"]["b"]


SERVICES = code.services()


def test_a_new_agent_is_deployed_and_one_without_its_stanza_is_missed(tmp_path, there, rendered, monkeypatch):
    shutil.copytree(code.ROOT / "k8s", tmp_path / "k8s")
    stanza.add("term_translator", tmp_path)
    monkeypatch.setattr("infra.manifests.render.K8S", tmp_path / "k8s")
    monkeypatch.setattr(agree.code, "services", lambda: {"term_translator", *SERVICES})
    new = render(there.kustomize, "production")
    deployed = find(new, "Deployment", "term-translator")["spec"]["template"]["spec"]["containers"][0]
    assert deployed["command"] == ["python", "-m", "services.term_translator"]
    assert metadata(new, "term-translator")["topic"] == "waggle.agents.term_translator"
    assert not [each for each in agree.disagreements(new, version()) if "services/term_translator is not" in each]
    missed = list(agree.disagreements(rendered["production"], version()))
    assert [each for each in missed if "services/term_translator is not deployed" in each]
    assert [each for each in kafka.users(new) if "no KafkaUser for term-translator" in each]
