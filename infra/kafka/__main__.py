"""`python -m infra.kafka`: run a real Apache Kafka here, with the swarm's topics, until Ctrl-C."""

import asyncio
import contextlib
import signal
import sys
from pathlib import Path

from infra import topics
from infra.kafka.broker import KafkaUnavailableError, running


def main() -> None:
    """Run it and say how to use it."""
    print("Resolving Apache Kafka (the first time takes some seconds) and starting it …", flush=True)
    with contextlib.suppress(KeyboardInterrupt), running(Path.cwd()) as bootstrap:
        asyncio.run(topics.create(bootstrap, "waggle.", topics.declared()))
        print(f"Apache Kafka runs. In another terminal:\n  export WAGGLE_KAFKA={bootstrap}\n  make up", flush=True)
        signal.sigwait([signal.SIGINT, signal.SIGTERM])


if __name__ == "__main__":
    try:
        main()
    except KafkaUnavailableError as missing:
        sys.exit(str(missing))
