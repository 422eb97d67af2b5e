"""Postgres: content too large for a message, kept by its hash and read by reference."""

from shared.archive.blobs import OUTAGES, Blob, BlobStore

__all__ = ["OUTAGES", "Blob", "BlobStore"]
