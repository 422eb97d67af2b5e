"""The embedded broker in a process of its own, as `waggle up` starts it."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

WITHIN = 30.0
"""Seconds the broker has to start."""


class EmbeddedKafka:
    """A broker that listens once this is made. `topics`: names with partitions; others appear on first use."""

    def __init__(self, *topics: str) -> None:
        with tempfile.TemporaryDirectory(prefix="waggle-kafka-") as folder:
            address = Path(folder) / "address"
            arguments = ["-m", "infra.embedded.kafka", "--address-file", str(address), *topics]
            self._process = subprocess.Popen([sys.executable, *arguments], stderr=subprocess.DEVNULL)
            ends = time.monotonic() + WITHIN
            while not address.exists():
                assert self._process.poll() is None, "the embedded broker has ended"
                assert time.monotonic() < ends, "the embedded broker did not start"
                time.sleep(0.01)
            self.bootstrap = address.read_text()

    def close(self) -> None:
        """Stop it; its content is lost."""
        self._process.terminate()
        self._process.wait()
