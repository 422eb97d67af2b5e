"""The table of faults, whole."""

from tests.faults import freezes, kills, messages, outages, versions
from tests.faults.table import ROWS

PARTS = (kills, freezes, messages, outages, versions)
"""Importing each has put its rows into the table."""

__all__ = ["PARTS", "ROWS"]
