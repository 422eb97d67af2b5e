"""Agents of other systems, reached over the A2A protocol: configuration, card, connection and the state of a task.

The protocol's library is an extra: modules that need it are imported where a remote agent is served.
"""

from shared.a2a.declare import RESERVED, Remote, declared_remotes

__all__ = ["RESERVED", "Remote", "declared_remotes"]
