"""Run a real Apache Kafka with the swarm's topics until Ctrl-C: `python -m infra.kafka`.

Its data is kept in `.waggle/kafka/data` between runs.
"""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from infra import topics
from infra.kafka.broker import KafkaUnavailableError, running


def main() -> None:
    """Run it and print its address."""
    parser = argparse.ArgumentParser(prog="infra.kafka", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="the clone whose .waggle/ it uses; default: here")
    root = parser.parse_args().root.resolve()
    signal.signal(signal.SIGTERM, _interrupt)
    print("Resolving Apache Kafka (the first time takes some seconds) and starting it …", flush=True)
    with running(root / ".waggle" / "kafka" / "data") as bootstrap:
        prefix = os.environ.get("WAGGLE_TOPIC_PREFIX", "waggle.")
        asyncio.run(topics.create(bootstrap, prefix, topics.declared()))
        print(f"Apache Kafka runs. In another terminal:\n  export WAGGLE_KAFKA={bootstrap}\n  make up", flush=True)
        signal.pause()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
    except (KafkaUnavailableError, ConnectionError) as missing:
        sys.exit(str(missing))
