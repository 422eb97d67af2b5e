"""What a transport gives."""

from typing import Any, TypeAlias

Streams: TypeAlias = tuple[Any, Any]
"""Messages that are read, and where to write some: of types that the package keeps to itself."""
