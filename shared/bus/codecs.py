"""Bounded decompression of batches: a batch of some kilobytes can unpack to more than the memory of a process.

aiokafka's decoders have no bound. `bound_decoders` replaces them with decoders that raise TooLarge, so that a reader
holds such a batch like any other that cannot be unpacked.
"""

import mmap
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import ModuleType
from typing import Any

import cramjam
from aiokafka import codec
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.legacy_records import LegacyRecordBatch

LARGEST_UNPACKED = 64 * 1_048_576
"""Bytes of a batch when it is unpacked. Topics take batches of 8 MiB, and few texts shrink to less than an eighth."""

_XERIAL_HEADER = 16
"""Bytes before the first block of a framed snappy stream, as Java clients write it."""
_XERIAL_LENGTH = struct.Struct("!i")


class TooLarge(ValueError):
    """A batch that unpacks to more than `LARGEST_UNPACKED`."""

    def __init__(self) -> None:
        super().__init__(f"it unpacks to more than {LARGEST_UNPACKED // 1_048_576} MiB")


def bound_decoders() -> None:
    """Bound every decompression of batches in this process."""
    for module in _decoding_modules():
        for name, decode in _DECODERS.items():
            if hasattr(module, name):
                setattr(module, name, decode)


def _decoding_modules() -> Iterator[ModuleType]:
    """Yield the modules that unpack batches: those written in C, or their substitutes in Python."""
    for batch in (DefaultRecordBatch, LegacyRecordBatch):
        yield sys.modules[batch.__module__]


def _unpack(decompress_into: Callable[[bytes, mmap.mmap], int], payload: Any) -> bytes:
    """Unpack into a memory map, which uses memory only for the pages that are written."""
    with mmap.mmap(-1, LARGEST_UNPACKED) as memory:
        try:
            size = decompress_into(bytes(payload), memory)
        except cramjam.DecompressionError as error:
            if "whole buffer" in str(error):
                raise TooLarge from None
            raise
        return memory[:size]


def _unpack_snappy(payload: Any) -> bytes:
    """Unpack snappy, whose blocks name their unpacked size."""
    if sum(map(cramjam.snappy.decompress_raw_len, _snappy_blocks(bytes(payload)))) > LARGEST_UNPACKED:
        raise TooLarge
    unpacked: bytes = codec.snappy_decode(payload)
    return unpacked


def _snappy_blocks(payload: bytes) -> Iterator[bytes]:
    """Yield the blocks of a framed stream; the whole of an unframed one."""
    if not codec._detect_xerial_stream(payload):  # noqa: SLF001 -- version is pinned; decoding looks for the same mark
        yield payload
        return
    at = _XERIAL_HEADER
    while at < len(payload):
        (length,) = _XERIAL_LENGTH.unpack_from(payload, at)
        if length < 0:
            raise ValueError("a block of a snappy stream has a negative length")
        at += _XERIAL_LENGTH.size + length
        yield payload[at - length : at]


_DECODERS: Mapping[str, Callable[[Any], bytes]] = {
    "gzip_decode": partial(_unpack, cramjam.gzip.decompress_into),
    "lz4_decode": partial(_unpack, cramjam.lz4.decompress_into),
    "zstd_decode": partial(_unpack, cramjam.zstd.decompress_into),
    "snappy_decode": _unpack_snappy,
}
