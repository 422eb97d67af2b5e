"""Kafka: typed messages in and out, acknowledged only when what follows from them is safe."""

from shared.bus.admin.connectivity import await_kafka
from shared.bus.admin.history import Ends, ends, history, partition_counts, stream
from shared.bus.broker import LARGEST_RECORD, RELIST, connect, fits, publish, publish_once
from shared.bus.consumer import KeyedConsumer
from shared.bus.deliver import Deliverer
from shared.bus.outages import OUTAGES
from shared.bus.record import Delivery, Record, content_id, decode, encode, encode_lean, explain, header_map
from shared.bus.table import Erased, Eraser, Raw, Table, TableConsumer
from shared.bus.timers import cleared, encode_at, until, wake

__all__ = [
    "LARGEST_RECORD",
    "OUTAGES",
    "RELIST",
    "Deliverer",
    "Delivery",
    "Ends",
    "Erased",
    "Eraser",
    "KeyedConsumer",
    "Raw",
    "Record",
    "Table",
    "TableConsumer",
    "await_kafka",
    "cleared",
    "connect",
    "content_id",
    "decode",
    "encode",
    "encode_at",
    "encode_lean",
    "ends",
    "explain",
    "fits",
    "header_map",
    "history",
    "partition_counts",
    "publish",
    "publish_once",
    "stream",
    "until",
    "wake",
]
