"""Spending of one handoff: counted, reserved in the ledger of its run, and metered."""

from shared.agent.spending.metering import OK, meter_loop, meter_reply, meter_tool, metering_model
from shared.agent.spending.reservation import BudgetReservation
from shared.agent.spending.usage import UsageCounter

__all__ = ["OK", "BudgetReservation", "UsageCounter", "meter_loop", "meter_reply", "meter_tool", "metering_model"]
