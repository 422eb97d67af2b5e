"""Suites of cases run on a swarm: tasks in by the gateway, trials out into the results folder."""
