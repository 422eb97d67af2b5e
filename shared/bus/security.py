"""Security of every Kafka connection: from the settings to the options of FastStream and aiokafka."""

from typing import Any

from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from shared.config import Settings, tls_context

_MECHANISMS = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}


def security(settings: Settings) -> BaseSecurity:
    """Return the security options of FastStream's broker."""
    protocol = settings.kafka_security_protocol
    tls = protocol.endswith("SSL")
    files = settings.kafka_ca, settings.kafka_certificate, settings.kafka_key
    context = tls_context(*files) if tls else None
    if not protocol.startswith("SASL"):
        return BaseSecurity(ssl_context=context, use_ssl=tls)
    assert settings.kafka_sasl_mechanism, "validated by the settings"
    assert settings.kafka_username, "as above"
    assert settings.kafka_password, "as above"
    password = settings.kafka_password.get_secret_value()
    return _MECHANISMS[settings.kafka_sasl_mechanism](settings.kafka_username, password, context, use_ssl=tls)


def secured(settings: Settings) -> dict[str, Any]:
    """Return the security options of aiokafka's clients."""
    return parse_security(security(settings))


def connection(settings: Settings) -> dict[str, Any]:
    """Return the addresses and security options of aiokafka's clients."""
    return {"bootstrap_servers": settings.kafka.split(","), **secured(settings)}
