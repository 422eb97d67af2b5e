"""Faults done to the real swarm, and a ledger outside of it that counts what really happened."""
