"""`python -m tests.faults.entry <module> [argument …]`: a product's service with points at which it can be ended.

Nothing in the product knows of this: the methods are wrapped here, before the service is imported.
"""

import functools
import json
import os
import runpy
import sys
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from shared.blackboard import Journal, RunStore
from tests.faults.points import around

CONSUMER = "FAULT_CONSUMER"
"""Environment variable: JSON, settings of the Kafka consumer that a service leaves at their defaults."""


def wrap() -> None:
    """Make the points."""
    around(Journal, "write", "journal")
    around(RunStore, "commit", "state")
    around(AIOKafkaProducer, "send", "publish")
    around(AIOKafkaConsumer, "commit", "commit")


def configure() -> None:
    """Have every consumer made with the settings of the environment."""
    changes: dict[str, Any] = json.loads(os.environ.get(CONSUMER, "{}"))
    original = AIOKafkaConsumer.__init__

    @functools.wraps(original)
    def made(self: AIOKafkaConsumer, *topics: str, **settings: Any) -> None:
        original(self, *topics, **settings | (changes if settings.get("group_id") else {}))

    AIOKafkaConsumer.__init__ = made


if __name__ == "__main__":
    wrap()
    configure()
    _, module, *arguments = sys.argv
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
