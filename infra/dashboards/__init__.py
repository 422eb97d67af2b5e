"""Grafana's dashboards, declared in `boards` and written out as JSON: a panel is a line here and fifty there."""
