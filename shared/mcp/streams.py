"""Streams of a transport."""

from typing import Any, TypeAlias

Streams: TypeAlias = tuple[Any, Any]
"""Stream of incoming and stream of outgoing messages; the package does not export their types."""
