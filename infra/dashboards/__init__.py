"""Grafana's dashboards, declared in `boards` and written as JSON: one line here is fifty there."""
