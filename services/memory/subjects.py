"""Subject of a run's memories: the person or thing that its task names in `context.data`."""

from typing import Any

from schemas.task import Task
from services.memory.wording import LONGEST_NAME, short

SUBJECT = "subject"
"""Name of the value that is the subject as it stands."""

NAMED = ("customer", "person", "user", "patient", "employee", "account", "company", "order", "project", "ticket")
"""Names of values that make a subject together with their value, the first one first: `customer 42`. Each counts also
with `_id` at its end."""


def subject_of(task: Task) -> str:
    """Return the subject of a task, in the form in which agents name a resource; empty if it names none."""
    data = {name.lower(): value for name, value in task.context.data.items()}
    if whole := _value(data.get(SUBJECT)):
        return short(whole, LONGEST_NAME)
    for name in NAMED:
        if value := _value(data.get(name)) or _value(data.get(f"{name}_id")):
            return short(f"{name} {value}", LONGEST_NAME)
    return ""


def _value(found: Any) -> str:
    return str(found).strip() if isinstance(found, str | int) and not isinstance(found, bool) else ""
