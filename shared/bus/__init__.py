"""Kafka: typed messages in and out, acknowledged once their effects are durable."""

from shared.bus.broker import LARGEST_RECORD, RELIST, connect
from shared.bus.consumer import KeyedConsumer
from shared.bus.deliver import Deliverer
from shared.bus.outages import OUTAGES
from shared.bus.publishing import fits, publish, publish_once
from shared.bus.record import Delivery, Record, content_id, decode, encode, encode_lean, explain, header_map
from shared.bus.table import Raw, Table, TableConsumer
from shared.bus.timers import cleared, delay, encode_delayed, fire
from shared.bus.tombstones import Erased, TombstoneWriter

__all__ = [
    "LARGEST_RECORD",
    "OUTAGES",
    "RELIST",
    "Deliverer",
    "Delivery",
    "Erased",
    "KeyedConsumer",
    "Raw",
    "Record",
    "Table",
    "TableConsumer",
    "TombstoneWriter",
    "cleared",
    "connect",
    "content_id",
    "decode",
    "delay",
    "encode",
    "encode_delayed",
    "encode_lean",
    "explain",
    "fire",
    "fits",
    "header_map",
    "publish",
    "publish_once",
]
