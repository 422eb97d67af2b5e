"""Settings of connections: what does not fit together is refused by its variable, and passwords stay out of sight."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.communication.settings import CommunicationSettings
from services.data.settings import DataSettings
from shared.config import Settings, settings_of, wrong_settings

SECRET = "hunter2"


def problems(**given):
    with pytest.raises(ValidationError) as refused:
        Settings(**given)
    assert SECRET not in str(refused.value)
    return " ".join(wrong_settings(refused.value, Settings))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "x.pem"
    path.write_text("no certificate")
    return path


SASL = {"kafka_security_protocol": "SASL_SSL", "kafka_username": "bee", "kafka_password": SECRET}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (SASL, "WAGGLE_KAFKA_SASL_MECHANISM is missing"),
        (SASL | {"kafka_sasl_mechanism": "PLAIN", "kafka_username": None}, "WAGGLE_KAFKA_USERNAME is missing"),
        (SASL | {"kafka_sasl_mechanism": "PLAIN", "kafka_password": None}, "WAGGLE_KAFKA_PASSWORD is missing"),
        (SASL | {"kafka_sasl_mechanism": "GSSAPI"}, "WAGGLE_KAFKA_SASL_MECHANISM: Input should be"),
        ({"kafka_security_protocol": "TLS"}, "WAGGLE_KAFKA_SECURITY_PROTOCOL: Input should be"),
        ({"kafka_password": SECRET}, "WAGGLE_KAFKA_PASSWORD is set but not used"),
        ({"kafka_ca": "/nowhere"}, "WAGGLE_KAFKA_CA is set but not used"),
        (
            {"kafka_security_protocol": "SSL", "kafka_ca": "/nowhere"},
            "WAGGLE_KAFKA_CA names a file that cannot be read",
        ),
        ({"redis": f"http://:{SECRET}@h"}, "WAGGLE_REDIS is no Redis URL"),
        ({"redis": f"redis://bee:{SECRET}/x@h:1/0"}, "WAGGLE_REDIS is no Redis URL"),
        ({"redis": "redis://h", "redis_ca": "/nowhere"}, "WAGGLE_REDIS_CA is set but not used"),
        ({"redis": "rediss://h", "redis_key": "/nowhere"}, "WAGGLE_REDIS_KEY names a file that cannot be read"),
        ({"postgres": f"mysql://bee:{SECRET}@h/x"}, "WAGGLE_POSTGRES is no Postgres URL"),
        ({"postgres": f"postgresql://bee:{SECRET}/x@h/y"}, "WAGGLE_POSTGRES is no Postgres URL"),
        ({"postgres": f"postgresql://bee:1/{SECRET}@h/y"}, "WAGGLE_POSTGRES is no Postgres URL"),
        ({"postgres": "postgresql://h/x?sslmode=verify-full"}, "without sslrootcert"),
        ({"postgres": f"postgresql://b:{SECRET}@h/x?sslmode=full"}, "WAGGLE_POSTGRES has sslmode=full"),
        ({"postgres": "postgresql://h/x?sslrootcert=/nowhere"}, "names a file in sslrootcert that does not exist"),
    ],
)
def test_conflicting_settings_are_refused_by_the_name_of_their_variable(given, said):
    assert said in problems(**given)


@pytest.mark.parametrize("name", ["kafka_certificate", "kafka_key"])
def test_a_certificate_and_its_key_belong_together(file, name):
    said = problems(kafka_security_protocol="SSL", **{name: file})
    assert "WAGGLE_KAFKA_CERTIFICATE and WAGGLE_KAFKA_KEY belong together" in said


def test_a_file_that_holds_no_certificate_is_refused(file):
    assert "WAGGLE_KAFKA_CA" in problems(kafka_security_protocol="SSL", kafka_ca=file)
    both = {"redis_certificate": file, "redis_key": file}
    assert "WAGGLE_REDIS_CERTIFICATE" in problems(redis="rediss://h", **both)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://postgres:@/waggle?host=/var/run/postgresql",
        "postgresql://bee:p%40w@one:5432,two:5433/hive",
        "postgresql://[::1]:5432/hive",
    ],
)
def test_every_kind_of_postgres_address_is_taken(url):
    assert Settings(postgres=url).postgres == url


def test_passwords_are_in_no_representation_of_the_settings():
    settings = Settings(
        **SASL,
        kafka_sasl_mechanism="PLAIN",
        redis=f"redis://:{SECRET}@h:1/0",
        postgres=f"postgresql://bee:{SECRET}@h/x",
    )
    mail = CommunicationSettings(smtp=f"smtp://bee:{SECRET}@h")
    data = DataSettings(databases=f"d=postgresql://bee:{SECRET}@h/x")
    for each in (settings, mail, data):
        assert SECRET not in repr(each)
        assert SECRET not in str(each)


def test_an_empty_variable_counts_as_unset(monkeypatch):
    monkeypatch.setenv("WAGGLE_KAFKA_CA", "")
    monkeypatch.setenv("WAGGLE_KAFKA_SECURITY_PROTOCOL", "")
    assert Settings().kafka_ca is None
    assert settings_of({"WAGGLE_KAFKA_KEY": "", "WAGGLE_TOPIC_PREFIX": "bee."}, Settings).topic_prefix == "bee."


def test_a_missing_file_is_reported_once_and_as_it_was_written():
    assert problems(redis="rediss://h", redis_ca=Path("no/such.pem")).count("no/such.pem") == 1
