"""Content too large for a message, stored in Postgres by its hash and read by reference."""

from shared.archive.blobs import SCHEME, Blob, BlobStore
from shared.archive.connect import check_postgres, survey
from shared.archive.outages import OUTAGES, ArchiveUnavailable

__all__ = ["OUTAGES", "SCHEME", "ArchiveUnavailable", "Blob", "BlobStore", "check_postgres", "survey"]
