"""Memories of tenants in Postgres: stored without a model, found by words and by meaning."""

from shared.memory.connection import FAILURES
from shared.memory.retrieval import Meaning, Wanted, recall
from shared.memory.store import MemoryStore, Selection

__all__ = ["FAILURES", "Meaning", "MemoryStore", "Selection", "Wanted", "recall"]
