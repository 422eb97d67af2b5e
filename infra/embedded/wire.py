"""Layouts of the few messages of Kafka's protocol that the long poll reads: https://kafka.apache.org/protocol.

Produce and Fetch are read in the versions before their flexible ones, which is what Python's clients send.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

PRODUCE, FETCH, METADATA, FIND_COORDINATOR, DESCRIBE_CLUSTER = 0, 1, 3, 10, 60
"""API keys."""

NEWEST: Mapping[int, int] = {PRODUCE: 8, FETCH: 11}
"""Newest version of a message that is not flexible."""

SIZE = struct.Struct(">i")
"""Size of a message, before it; also any other 32-bit number."""

_HEADER = struct.Struct(">ihhih")  # size, API key, version, correlation id, length of the client's name
_SHORT = struct.Struct(">h")

# Bytes of the fields in a place, by the version that brought them.
_BEFORE_ACKS = {3: 2}
_BEFORE_FETCHED = {0: 12, 3: 4, 4: 1, 7: 8}
_FETCHED_PARTITION = {0: 16, 5: 8, 9: 4}
_BEFORE_ANSWERED = {0: 8, 1: 4}
_ANSWERED_PARTITION = {0: 8, 4: 8, 5: 8}


class Request(NamedTuple):
    """A request with its size in front."""

    frame: bytes
    api: int
    version: int
    body: int
    """Offset of the fields, behind a header without tags."""

    @property
    def known(self) -> bool:
        """True if its fields can be read."""
        return self.version <= NEWEST.get(self.api, -1)


def request(frame: bytes) -> Request:
    """Read the header of a request."""
    _, api, version, _, client = _HEADER.unpack_from(frame)
    return Request(frame, api, version, _HEADER.size + max(0, client))


def acks(produce: Request) -> int:
    """Return the acknowledgements that a Produce request asks for; at 0 it has no answer."""
    fields = _Fields(produce.frame, produce.body)
    if not produce.known:  # behind the tags of its header a compact string: its length plus one
        fields.skip(1)
        fields.skip(max(1, produce.frame[fields.at]))
    elif _size(_BEFORE_ACKS, produce.version):
        fields.text()
    return fields.short()


def produced(produce: Request) -> Sequence[bytes] | None:
    """Return the topics of a Produce request; None if they cannot be read."""
    if not produce.known:
        return None
    fields = _Fields(produce.frame, produce.body)
    if _size(_BEFORE_ACKS, produce.version):
        fields.text()
    fields.skip(6)
    topics = []
    for _ in range(fields.number()):
        topics.append(fields.text())
        for _ in range(fields.number()):
            fields.skip(4)
            fields.skip(max(0, fields.number()))
    return topics


def fetched(fetch: Request) -> Sequence[bytes]:
    """Return the topics of a Fetch request."""
    fields = _Fields(fetch.frame, fetch.body)
    fields.skip(_size(_BEFORE_FETCHED, fetch.version))
    topics = []
    for _ in range(fields.number()):
        topics.append(fields.text())
        fields.skip(fields.number() * _size(_FETCHED_PARTITION, fetch.version))
    return topics


def without_wait(fetch: Request) -> tuple[bytes, float]:
    """Return a Fetch request that is answered at once, and the seconds that it would have waited."""
    at = fetch.body + 4
    [wait] = SIZE.unpack_from(fetch.frame, at)
    return fetch.frame[:at] + SIZE.pack(0) + fetch.frame[at + 4 :], wait / 1_000


def is_empty(answer: bytes, version: int) -> bool:
    """Return True if the answer to a Fetch request has neither records nor an error."""
    fields = _Fields(answer, _size(_BEFORE_ANSWERED, version))
    if _size({7: 6}, version):
        if fields.short():
            return False
        fields.skip(4)
    for _ in range(fields.number()):
        fields.text()
        for _ in range(fields.number()):
            if _answered(fields, version):
                return False
    return True


def _answered(fields: "_Fields", version: int) -> bool:
    """Pass over a partition of an answer; return True if it has records or an error."""
    fields.skip(4)
    error = fields.short()
    fields.skip(_size(_ANSWERED_PARTITION, version))
    if _size({4: 4}, version):
        fields.skip(16 * max(0, fields.number()))  # aborted transactions
    fields.skip(_size({11: 4}, version))
    records = max(0, fields.number())
    fields.skip(records)
    return bool(error or records)


def _size(fields: Mapping[int, int], version: int) -> int:
    return sum(size for since, size in fields.items() if version >= since)


class _Fields:
    """Reads fields one after the other."""

    def __init__(self, message: bytes, at: int) -> None:
        self._message = message
        self.at = at

    def skip(self, size: int) -> None:
        self.at += size

    def short(self) -> int:
        self.at += 2
        number: int = _SHORT.unpack_from(self._message, self.at - 2)[0]
        return number

    def number(self) -> int:
        self.at += 4
        number: int = SIZE.unpack_from(self._message, self.at - 4)[0]
        return number

    def text(self) -> bytes:
        """Return a string; empty if it is null."""
        size = max(0, self.short())
        self.at += size
        return self._message[self.at - size : self.at]
