"""Kafka: typed messages in and out, acknowledged only when what follows from them is safe."""

from shared.bus.broker import LARGEST_RECORD, OUTAGES, await_kafka, connect, publish, publish_once
from shared.bus.consumer import KeyedConsumer
from shared.bus.dead_letters import DeadLetter
from shared.bus.deliver import Deliverer
from shared.bus.history import history
from shared.bus.record import Delivery, Record, content_id, decode, encode, encode_lean, explain, header_map
from shared.bus.redrive import AlreadyHandled, DeadLetters, UnknownDeadLetter, Wanted
from shared.bus.table import Eraser, Raw, Table, TableConsumer
from shared.bus.timers import encode_at, until, wake

__all__ = [
    "LARGEST_RECORD",
    "OUTAGES",
    "AlreadyHandled",
    "DeadLetter",
    "DeadLetters",
    "Deliverer",
    "Delivery",
    "Eraser",
    "KeyedConsumer",
    "Raw",
    "Record",
    "Table",
    "TableConsumer",
    "UnknownDeadLetter",
    "Wanted",
    "await_kafka",
    "connect",
    "content_id",
    "decode",
    "encode",
    "encode_at",
    "encode_lean",
    "explain",
    "header_map",
    "history",
    "publish",
    "publish_once",
    "until",
    "wake",
]
