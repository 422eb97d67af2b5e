"""Memories of earlier runs, as the agent of one handoff gets them: in its brief, and by the tool `recall`.

What was recalled is recorded in the journal, so that a redelivery sees the same.
"""

from shared.agent.memory.memories import Asked, Found, Memories, StoredMemories

__all__ = ["Asked", "Found", "Memories", "StoredMemories"]
