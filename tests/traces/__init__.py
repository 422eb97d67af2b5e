"""Traces: what the swarm exports, received and compared."""
