"""Kafka: typed messages in and out, acknowledged only when what follows from them is safe."""

from shared.bus.broker import LARGEST_RECORD, OUTAGES, await_kafka, connect, publish
from shared.bus.consumer import KeyedConsumer
from shared.bus.deliver import Deliverer
from shared.bus.record import Delivery, Record, content_id, decode, encode, explain, header_map

__all__ = [
    "LARGEST_RECORD",
    "OUTAGES",
    "Deliverer",
    "Delivery",
    "KeyedConsumer",
    "Record",
    "await_kafka",
    "connect",
    "content_id",
    "decode",
    "encode",
    "explain",
    "header_map",
    "publish",
]
