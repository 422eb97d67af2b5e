"""Tool calls that can be relied on: admitted within limits, repeated where safe, answered from memory at need."""

from shared.tools.runtime.admission import REFUSALS, Admissions, Admitted, Refused
from shared.tools.runtime.calls import Dependable, Done
from shared.tools.runtime.configured import check_limits, limits_in
from shared.tools.runtime.last_good import LastGood

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
