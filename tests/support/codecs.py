"""Shared steps of tests: codecs."""

from confluent_kafka import Producer


def _produce(bootstrap, codec, messages):
    """Another client than ours, with batches large enough to be compressed."""
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": codec, "linger.ms": 50})
    for message in messages:
        producer.produce(message.topic, message.value, message.key, headers=dict(message.headers))
    assert producer.flush(20) == 0
