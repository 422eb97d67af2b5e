"""Apache Kafka on loopback: resolved, formatted, started and awaited."""

import asyncio
import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from infra import toolchain
from infra.probe import die_with_parent, free_port, kafka_answers
from infra.progress import Progress

_CONFIGURATION = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{listeners}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}
log.dirs={data}
auto.create.topics.enable=false
message.max.bytes=8388608
replica.fetch.max.bytes=8388608
group.initial.rebalance.delay.ms=100
group.min.session.timeout.ms=1000
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
"""


@dataclass(frozen=True, slots=True)
class Secured:
    """Additional listeners of a broker, for testing authentication."""

    listeners: Mapping[str, tuple[str, int]]
    """Security protocol of each additional listener, and its port on loopback."""
    properties: Mapping[str, str]
    """Additional lines of the configuration: certificates, mechanisms."""
    users: Mapping[str, str]
    """Name → password, for both SCRAM mechanisms."""

    def format_arguments(self) -> list[str]:
        """Return the arguments that create the users when the storage is formatted."""
        return [
            f"--add-scram={mechanism}=[name={name},password={password}]"
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            for name, password in self.users.items()
        ]


PLAIN = Secured({}, {}, {})


class KafkaUnavailableError(RuntimeError):
    """A real Kafka cannot run here; the message names what is missing."""


def libraries() -> Path:
    """Return the folder of Kafka's jars, resolved once. Raises KafkaUnavailableError with instructions to install."""
    try:
        return toolchain.jars("kafka")
    except toolchain.ToolMissing as missing:
        raise KafkaUnavailableError(f"{missing}\nOr set WAGGLE_KAFKA to a running Kafka.") from missing


@contextlib.contextmanager
def running(data: Path | None = None, secured: Secured = PLAIN) -> Iterator[str]:
    """Run a Kafka and yield its plain listener's `host:port`; it ends with the block, or with this process.

    Its content is kept in `data` between runs; without `data` it starts empty and keeps nothing.
    Raises KafkaUnavailableError when Java or Maven is missing, or when it ends, or is stuck, before it is ready.
    """
    if shutil.which("java") is None:
        raise KafkaUnavailableError("Java is missing: install a Java 17 runtime, or set WAGGLE_KAFKA")
    jars = f"{libraries()}/*"
    with tempfile.TemporaryDirectory(prefix="waggle-kafka-") as folder:
        data = data or Path(folder) / "data"
        port, configuration = _configure(Path(folder), data, secured)
        if not (data / "meta.properties").exists():
            users = secured.format_arguments()
            _java(jars, "kafka.tools.StorageTool", "format", "-t", uuid4().hex[:22], "-c", str(configuration), *users)
        log = Path(folder) / "kafka.log"
        with log.open("wb") as output:
            broker = subprocess.Popen(
                ["java", "-Xmx512m", "-Xms256m", "-cp", jars, *_QUIET, "kafka.Kafka", str(configuration)],
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,  # noqa: PLW1509 -- it only sets a flag of its own process
            )
            try:
                _await_ready(broker, f"127.0.0.1:{port}", log)
                yield f"127.0.0.1:{port}"
            finally:
                broker.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    broker.wait(20)
                broker.kill()
                broker.wait()


_QUIET = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]


def _configure(folder: Path, data: Path, secured: Secured) -> tuple[int, Path]:
    port, controller = free_port(), free_port()
    configuration = folder / "server.properties"
    named = secured.listeners.items()
    text = _CONFIGURATION.format(
        port=port,
        controller=controller,
        data=data,
        listeners="".join(f",{name}://127.0.0.1:{number}" for name, (_, number) in named),
        protocols="".join(f",{name}:{protocol}" for name, (protocol, _) in named),
    )
    configuration.write_text(text + "".join(f"{name}={value}\n" for name, value in secured.properties.items()))
    return port, configuration


def _java(jars: str, *arguments: str) -> None:
    ran = subprocess.run(["java", "-cp", jars, *_QUIET, *arguments], capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise KafkaUnavailableError(f"{arguments[0]} failed:\n{ran.stdout[-2_000:]}{ran.stderr[-2_000:]}")


def _await_ready(broker: subprocess.Popen[bytes], bootstrap: str, log: Path) -> None:
    progress = Progress(log)
    while broker.poll() is None and not progress.stuck(broker.pid):
        if asyncio.run(kafka_answers(bootstrap)):
            return
        if line := progress.due():
            print(f"Apache Kafka: {line}", file=sys.stderr, flush=True)
        time.sleep(0.2)
    raise KafkaUnavailableError(f"Apache Kafka did not start: it {progress.why(broker.returncode)}")
