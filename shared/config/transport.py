"""Addresses and credentials for Kafka, Redis and Postgres, and a check that they fit together."""

import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self, TypeAlias
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, SecretStr, model_validator

from shared.config.environment import ServiceSettings

Protocol: TypeAlias = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism: TypeAlias = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_DEFAULT_ROOT = Path("~/.postgresql/root.crt")
"""File of certificate authorities, if the URL names none."""

_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]*)(:\d+)?")
"""A host's name or address, and perhaps its port."""

_POSTGRES_FILES = ("sslrootcert", "sslcert", "sslkey")


class Transport(ServiceSettings):
    """Settings of connections. Combinations that do not fit are refused, with their variables."""

    kafka: str = Field("127.0.0.1:9092", description="Kafka bootstrap servers, comma-separated.")
    kafka_security_protocol: Protocol = Field(
        "PLAINTEXT", description="Protocol of Kafka's listener: `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`."
    )
    kafka_sasl_mechanism: Mechanism | None = Field(
        None, description="With `SASL_…`: `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`."
    )
    kafka_username: str | None = Field(None, description="With `SASL_…`: the Kafka user.")
    kafka_password: SecretStr | None = Field(None, description="With `SASL_…`: that user's password.")
    kafka_ca: Path | None = Field(
        None, description="With `…SSL`: PEM file of who must have signed Kafka's certificate; unset, the system's."
    )
    kafka_certificate: Path | None = Field(
        None, description="With `…SSL`: PEM file of this service's certificate, when Kafka asks for one."
    )
    kafka_key: Path | None = Field(None, description="PEM file of that certificate's key, without a password.")

    redis: str = Field(
        "redis://127.0.0.1:6379/0",
        repr=False,
        description="Redis URL of the blackboard; with TLS and a user `rediss://user:password@host:port/0`.",
    )
    redis_ca: Path | None = Field(
        None, description="With `rediss:`: PEM file of who must have signed Redis's certificate; unset, the system's."
    )
    redis_certificate: Path | None = Field(
        None, description="With `rediss:`: PEM file of this service's certificate, when Redis asks for one."
    )
    redis_key: Path | None = Field(None, description="PEM file of that certificate's key, without a password.")

    postgres: str = Field(
        "postgresql://waggle@127.0.0.1:5432/waggle",
        repr=False,
        description="Postgres URL of the archive (attachments, artefacts); with TLS "
        "`postgresql://user:password@host/database?sslmode=verify-full&sslrootcert=/path`.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        problems = [*_kafka(self), *_redis(self), *_postgres(self.postgres)]
        if problems:
            raise ValueError("; ".join(problems))
        return self


def tls_context(ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """TLS that verifies the server's name and chain. Raises OSError, ssl.SSLError among it, for what cannot be read."""
    context = ssl.create_default_context(cafile=ca)
    if certificate:
        context.load_cert_chain(certificate, key, password=lambda: "")  # a key with a password would ask the terminal
    return context


def _kafka(given: Transport) -> Iterator[str]:
    protocol = given.kafka_security_protocol
    credentials = {"KAFKA_USERNAME": given.kafka_username, "KAFKA_PASSWORD": given.kafka_password}
    if protocol.startswith("SASL"):
        wanted = {"KAFKA_SASL_MECHANISM": given.kafka_sasl_mechanism, **credentials}
        yield from (
            f"WAGGLE_{name} is missing: WAGGLE_KAFKA_SECURITY_PROTOCOL={protocol} needs it"
            for name, value in wanted.items()
            if value is None
        )
    else:
        yield from (
            f"WAGGLE_{name} is set but not used: WAGGLE_KAFKA_SECURITY_PROTOCOL is {protocol}, set SASL_SSL"
            for name, value in credentials.items()
            if value is not None
        )
    unused = None if protocol.endswith("SSL") else f"WAGGLE_KAFKA_SECURITY_PROTOCOL is {protocol}, set SSL or SASL_SSL"
    yield from _files("KAFKA", given.kafka_ca, given.kafka_certificate, given.kafka_key, unused)


def _redis(given: Transport) -> Iterator[str]:
    scheme = given.redis.partition("://")[0]
    if not _readable(given.redis, ("redis", "rediss", "unix")):
        yield "WAGGLE_REDIS is no Redis URL: write redis://[user:password@]host:port/0 or rediss://…, with %40 for @"
        return
    unused = None if scheme == "rediss" else f"WAGGLE_REDIS begins with {scheme}://, write rediss://"
    yield from _files("REDIS", given.redis_ca, given.redis_certificate, given.redis_key, unused)


def _postgres(url: str) -> Iterator[str]:
    if not _readable(url, ("postgresql", "postgres")):
        yield "WAGGLE_POSTGRES is no Postgres URL: write postgresql://[user:password@]host:port/database, %40 for @"
        return
    named = {name: values[-1] for name, values in parse_qs(urlsplit(url).query).items()}
    if (mode := named.get("sslmode", "prefer")) not in _SSL_MODES:
        yield f"WAGGLE_POSTGRES has sslmode={mode}: use one of {', '.join(_SSL_MODES)}"
    if mode.startswith("verify") and "sslrootcert" not in named and not _DEFAULT_ROOT.expanduser().exists():
        yield f"WAGGLE_POSTGRES has sslmode={mode} without sslrootcert: name the file of the authority"
    for name in _POSTGRES_FILES:
        if name in named and not Path(named[name]).is_file():
            yield f"WAGGLE_POSTGRES names a file in {name} that does not exist: {named[name]}"
    if "sslkey" in named and "sslcert" not in named:
        yield "WAGGLE_POSTGRES has sslkey without sslcert: name both files"


def _readable(url: str, schemes: tuple[str, ...]) -> bool:
    """Return whether the URL can be parsed. The parser's own message is dropped: it may show a password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    hosts = parts.netloc.rpartition("@")[2].split(",")
    whole = parts.netloc.count("@") <= 1 and "@" not in parts.path
    return parts.scheme in schemes and whole and all(_HOST.fullmatch(host) for host in hosts)


def _files(kind: str, ca: Path | None, certificate: Path | None, key: Path | None, unused: str | None) -> Iterator[str]:
    """Yield the problems of three files; `unused` gives the reason why none of them would be used."""
    given = {f"WAGGLE_{kind}_{name}": path for name, path in _named(ca, certificate, key).items() if path}
    missing = [f"{name} names a file that cannot be read: {path}" for name, path in given.items() if not _opens(path)]
    if unused:
        yield from (f"{name} is set but not used: {unused}" for name in given)
    elif missing:
        yield from missing
    elif (certificate is None) != (key is None):
        yield f"WAGGLE_{kind}_CERTIFICATE and WAGGLE_{kind}_KEY belong together: set both or none"
    else:
        yield from _unfit(kind, ca, certificate, key)


def _named(ca: Path | None, certificate: Path | None, key: Path | None) -> dict[str, Path | None]:
    return {"CA": ca, "CERTIFICATE": certificate, "KEY": key}


def _opens(path: Path) -> bool:
    try:
        path.open("rb").close()
    except OSError:
        return False
    return True


def _unfit(kind: str, ca: Path | None, certificate: Path | None, key: Path | None) -> Iterator[str]:
    try:
        tls_context(ca, None, None)
    except OSError as unreadable:
        yield f"WAGGLE_{kind}_CA ({ca}) holds no certificate in PEM form: {_reason(unreadable)}"
    if certificate is None:
        return
    try:
        tls_context(None, certificate, key)
    except OSError as unfit:
        yield (
            f"WAGGLE_{kind}_CERTIFICATE ({certificate}) and WAGGLE_{kind}_KEY ({key}) are no certificate and its key, "
            f"without a password, in PEM form: {_reason(unfit)}"
        )


def _reason(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or type(error).__name__
