"""The input guardrails: every text of a task, before anything is planned or stored."""

from typing import Any

from schemas.task import Attachment, Task
from shared.guard.policy import Policy
from shared.guard.screen import Judge, Tripped, screen


def screened_task(task: Task, policy: Policy, judge: Judge | None = None) -> tuple[Task, tuple[Tripped, ...]]:
    """The task as the policy leaves it, and the guardrails that have tripped; what to do about them is in each.

    Content that an attachment only refers to (`uri`) is not looked at here: it is untrusted wherever it is read.
    """
    guard = _Guard(task.tenant, policy, judge)
    context = task.context.model_copy(
        update={
            "text": task.context.text and guard.text(task.context.text, "context.text"),
            "data": guard.deep(task.context.data, "context.data"),
            "attachments": [guard.attachment(each) for each in task.context.attachments],
        }
    )
    change = {
        "objective": guard.text(task.objective, "objective"),
        "constraints": [guard.text(each, f"constraints[{n}]") for n, each in enumerate(task.constraints)],
        "context": context,
    }
    return (task.model_copy(update=change), tuple(guard.tripped)) if guard.tripped else (task, ())


class _Guard:
    """Screens one text after another and keeps what tripped."""

    def __init__(self, tenant: str, policy: Policy, judge: Judge | None) -> None:
        self._tenant = tenant
        self._policy = policy
        self._judge = judge
        self.tripped: list[Tripped] = []

    def text(self, text: str, where: str) -> str:
        done = screen(text, self._policy, "input", tenant=self._tenant, where=where, judge=self._judge)
        self.tripped += done.tripped
        return done.text

    def deep(self, value: Any, where: str) -> Any:
        """JSON-ready data with every text in it screened, names of fields too."""
        match value:
            case str():
                return self.text(value, where)
            case dict():
                return {self.text(name, where): self.deep(each, f"{where}.{name[:40]}") for name, each in value.items()}
            case list():
                return [self.deep(each, f"{where}[{number}]") for number, each in enumerate(value)]
        return value

    def attachment(self, file: Attachment) -> Attachment:
        if file.text is None:
            return file
        return file.model_copy(update={"text": self.text(file.text, f"attachment {file.name}")})
