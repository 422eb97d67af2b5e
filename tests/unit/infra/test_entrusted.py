"""Each service is given the secrets it uses and no other: the table, and the check of Deployments against it."""

from copy import deepcopy

import pytest
from pydantic import SecretStr

from infra.entrusted import ENTRUSTED, SECRETS, entrusted
from infra.manifests import code, held
from infra.topics import agents
from infra.variables import all_variables, own_settings, variables_of
from shared.config import Settings

OF_NO_SERVICE = {"WAGGLE_KEY", "WAGGLE_KAFKA_PASSWORD"}
"""The command line's, and each service's own."""

EVERY_KIND = (Settings, *(kind for kinds in own_settings().values() for kind in kinds))

READERS = {
    "WAGGLE_SMTP": {"communication", "notifier"},
    "WAGGLE_NOTIFY_SECRETS": {"notifier"},
    "WAGGLE_DATABASES": {"data"},
    "WAGGLE_SIGNING_KEY": {"gateway"},
    "WAGGLE_KEYS": {"gateway", "orchestrator"},
    "WAGGLE_UNSIGNED_DECISIONS": {"gateway", "orchestrator"},
    "WAGGLE_DECISION_WINDOW": {"orchestrator"},
    "WAGGLE_ALLOWED_HOSTS": {"gateway"},
    "WAGGLE_METRICS_PORT": {"gateway"},
    "WAGGLE_GATEWAY": {"cli", "console"},
    "WAGGLE_KEY": {"cli"},
    "WAGGLE_OIDC_SECRET": {"console"},
}


def test_every_setting_that_is_a_secret_has_its_place_in_the_table():
    declared = {
        name
        for kind in EVERY_KIND
        for name, field in variables_of(kind).items()
        if not field.repr or "SecretStr" in str(field.annotation)
    }
    assert SecretStr.__name__ in str(Settings.model_fields["openai_api_key"].annotation)
    assert declared - OF_NO_SERVICE == SECRETS - {"WAGGLE_KEYS"}
    assert set(all_variables()) >= SECRETS


def test_a_setting_of_one_service_is_read_by_no_other():
    for name, services in READERS.items():
        assert name not in variables_of(Settings)
        assert {
            each for each, kinds in own_settings().items() for kind in kinds if name in variables_of(kind)
        } == services


def test_a_variable_that_several_settings_declare_means_the_same_in_each():
    for name in all_variables():
        fields = [variables_of(kind)[name] for kind in EVERY_KIND if name in variables_of(kind)]
        assert len({(str(each.annotation), str(each.default), each.description) for each in fields}) == 1, name


def test_the_most_dangerous_secrets_are_with_those_who_use_them():
    def holders(name):
        return {each for each in code.services() if name in entrusted(each)}

    assert set(ENTRUSTED) <= code.services()
    assert holders("OPENAI_API_KEY") == {*agents(), "memory"}
    assert holders("WAGGLE_SMTP") == {"communication", "notifier"}
    assert holders("WAGGLE_SIGNING_KEY") == {"gateway"}
    assert holders("WAGGLE_KEYS") == {"gateway", "orchestrator"}
    assert entrusted("timekeeper") == frozenset()
    assert entrusted("made-by-make-new-agent") == entrusted("code")


OBJECTS = [each for path in held.objects() for each in held.objects()[path] if path == held.PRODUCTION]
KEYS = {"projected": {"sources": [{"secret": {"name": "waggle-keys", "items": [{"key": "keys.toml", "path": "k"}]}}]}}
AUTHORITY = {"projected": {"sources": [{"secret": {"name": "waggle-ca", "items": [{"key": "ca.crt", "path": "c"}]}}]}}


def deployment(service: str, *env: str, volumes=()) -> dict:
    variables = [{"name": each, "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}} for each in env]
    whole = [{"configMapRef": {"name": "waggle-settings"}}, {"secretRef": {"name": held.secret_name(service)}}]
    container = {"env": [*variables, {"name": "WAGGLE_HTTP_PORT", "value": "8080"}], "envFrom": whole}
    template = {"spec": {"containers": [container], "volumes": deepcopy(list(volumes))}}
    return {"kind": "Deployment", "metadata": {"name": service}, "spec": {"template": template}}


@pytest.mark.parametrize("service", sorted(code.services()))
def test_a_service_may_hold_the_credentials_generated_for_it(service):
    own = ["WAGGLE_KAFKA_PASSWORD", *(["POSTGRES_USER"] if "WAGGLE_POSTGRES" in entrusted(service) else [])]
    assert list(held.excess(OBJECTS, deployment(service, *own, volumes=[AUTHORITY]), service)) == []


@pytest.mark.parametrize(
    ("service", "given"),
    [
        ("gateway", "OPENAI_API_KEY"),
        ("gateway", "WAGGLE_SMTP"),
        ("code", "WAGGLE_SMTP"),
        ("code", "WAGGLE_SIGNING_KEY"),
        ("orchestrator", "OPENAI_API_KEY"),
        ("orchestrator", "WAGGLE_SMTP"),
        ("console", "POSTGRES_PASSWORD"),
        ("timekeeper", "WAGGLE_REDIS"),
        ("planner", "WAGGLE_DATABASES"),
        ("planner", "SOME_OTHER_SECRET"),
    ],
)
def test_a_secret_that_a_service_does_not_use_is_found(service, given):
    said = list(held.excess(OBJECTS, deployment(service, given), service))
    assert said == [f"Deployment/{service}: it gets {given}, which it does not use"]


def test_a_literal_secret_another_services_secret_and_a_file_of_keys_are_found():
    literal, other = deployment("code"), deployment("gateway")
    literal["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "WAGGLE_SMTP", "value": "smtp://x"})
    assert "it gets WAGGLE_SMTP" in " ".join(held.excess(OBJECTS, literal, "code"))
    other["spec"]["template"]["spec"]["containers"][0]["envFrom"][1]["secretRef"]["name"] = "communication-secrets"
    assert "communication-secrets, which is not its own" in " ".join(held.excess(OBJECTS, other, "gateway"))
    for service, expected in (("code", 1), ("gateway", 0), ("orchestrator", 0)):
        assert len(list(held.excess(OBJECTS, deployment(service, volumes=[KEYS]), service))) == expected


def test_every_overlay_has_a_secret_for_each_service_that_uses_one():
    for path, objects in held.objects().items():
        named = {each["metadata"]["name"] for each in objects}
        assert named == {held.secret_name(each) for each in code.services() if entrusted(each)}, path
