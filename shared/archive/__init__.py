"""Postgres: content too large for a message, kept by its hash and read by reference."""

from shared.archive.blobs import OUTAGES, SCHEME, Blob, BlobStore
from shared.archive.connect import check_postgres, survey

__all__ = ["OUTAGES", "SCHEME", "Blob", "BlobStore", "check_postgres", "survey"]
