"""Conformance suites of others, run against Waggle."""
