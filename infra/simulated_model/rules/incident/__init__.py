"""The data agent's rule: find an incident in a table by queries, else summarise the tables."""

from infra.simulated_model.rules.incident.data import analyse

__all__ = ["analyse"]
