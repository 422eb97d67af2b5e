"""Kafka for demos and tests, from the confluent-kafka wheel: `python -m infra.embedded.kafka`.

It is librdkafka's own broker: real TCP, consumer groups, commits, idempotent producers. It keeps at most 5 MB or
100,000 messages a partition, in memory, and drops the oldest silently; nothing survives its end. A message so large
that everything before it must be dropped is itself lost, although it is acknowledged: keep messages below 2.5 MB.
As a process it has the long poll in front.
"""

import argparse
import asyncio
import ctypes
import signal
from collections.abc import Sequence
from pathlib import Path

import confluent_kafka
import uvloop

from infra.embedded.long_poll import LongPoll
from infra.embedded.state import write_atomically

REBALANCE_DELAY_MS = 100
"""Milliseconds a new group waits for more members; librdkafka's default of 3 s is for production."""

_PRODUCER = 0


def _library() -> ctypes.CDLL:
    folder = Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs"
    names = sorted(folder.glob("librdkafka*.so*")) or sorted(folder.glob("librdkafka*.dylib"))
    if not names:
        raise RuntimeError("the confluent-kafka wheel holds no librdkafka for this machine; set WAGGLE_KAFKA instead")
    library = ctypes.CDLL(str(names[0]))
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    for name, result, arguments in (
        ("rd_kafka_conf_new", pointer, []),
        ("rd_kafka_new", pointer, [ctypes.c_int, pointer, text, ctypes.c_size_t]),
        ("rd_kafka_mock_cluster_new", pointer, [pointer, ctypes.c_int]),
        ("rd_kafka_mock_cluster_bootstraps", text, [pointer]),
        ("rd_kafka_mock_topic_create", ctypes.c_int, [pointer, text, ctypes.c_int, ctypes.c_int]),
        ("rd_kafka_mock_group_initial_rebalance_delay_ms", None, [pointer, ctypes.c_int32]),
        ("rd_kafka_mock_cluster_destroy", None, [pointer]),
        ("rd_kafka_destroy", None, [pointer]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class EmbeddedKafka:
    """The broker, in this process."""

    def __init__(self) -> None:
        self._library = _library()
        self._handle = self._library.rd_kafka_new(_PRODUCER, self._library.rd_kafka_conf_new(), None, 0)
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._handle, 1)
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, REBALANCE_DELAY_MS)

    @property
    def bootstrap(self) -> str:
        """Its address: `host:port`."""
        address: bytes = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster)
        return address.decode()

    def create(self, topics: Sequence[tuple[str, int]]) -> None:
        """Create topics with this many partitions; others appear on first use, with 4."""
        for name, partitions in topics:
            self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1)

    def close(self) -> None:
        """Stop it; its content is lost."""
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._handle)


def main() -> None:
    """Run until stopped; write the address to a file once it is reachable."""
    parser = argparse.ArgumentParser(prog="infra.embedded.kafka", description=__doc__)
    parser.add_argument("--address-file", type=Path, required=True, help="where to write host:port")
    parser.add_argument("topics", nargs="*", help="topics to create, as name:partitions")
    chosen = parser.parse_args()
    pairs = (topic.rpartition(":") for topic in chosen.topics)
    uvloop.run(_serve(chosen.address_file, [(name, int(partitions)) for name, _, partitions in pairs]))


async def _serve(address_file: Path, topics: Sequence[tuple[str, int]]) -> None:
    broker, stopped, loop = EmbeddedKafka(), asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    broker.create(topics)
    relay = LongPoll(broker.bootstrap)
    server = await relay.start()
    write_atomically(address_file, relay.bootstrap)
    await stopped.wait()
    server.close()
    broker.close()


if __name__ == "__main__":
    main()
