"""How every connection to Kafka is opened: from the settings to what FastStream and aiokafka take."""

from typing import Any

from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from shared.config import Settings, tls_context

_MECHANISMS = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}


def security(settings: Settings) -> BaseSecurity:
    """For FastStream's broker."""
    protocol = settings.kafka_security_protocol
    tls = protocol.endswith("SSL")
    files = settings.kafka_ca, settings.kafka_certificate, settings.kafka_key
    context = tls_context(*files) if tls else None
    if not protocol.startswith("SASL"):
        return BaseSecurity(ssl_context=context, use_ssl=tls)
    assert settings.kafka_sasl_mechanism, "the settings have seen to it"
    assert settings.kafka_username, "as above"
    assert settings.kafka_password, "as above"
    password = settings.kafka_password.get_secret_value()
    return _MECHANISMS[settings.kafka_sasl_mechanism](settings.kafka_username, password, context, use_ssl=tls)


def secured(settings: Settings) -> dict[str, Any]:
    """For aiokafka's clients: what they take beside the address."""
    return parse_security(security(settings))


def connection(settings: Settings) -> dict[str, Any]:
    """For aiokafka's clients: where Kafka is, and all they need to be let in."""
    return {"bootstrap_servers": settings.kafka.split(","), **secured(settings)}
