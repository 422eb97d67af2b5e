"""Tool calls that can be relied on: admitted within limits, repeated where safe, answered from memory at need."""

from shared.dependable.admission import REFUSALS, Admissions, Admitted, Refused
from shared.dependable.calls import Dependable, Done
from shared.dependable.configured import check_limits, limits_in
from shared.dependable.last_good import LastGood

__all__ = [
    "REFUSALS",
    "Admissions",
    "Admitted",
    "Dependable",
    "Done",
    "LastGood",
    "Refused",
    "check_limits",
    "limits_in",
]
