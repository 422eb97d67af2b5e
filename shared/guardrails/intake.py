"""Input guardrails: every text of a task, before anything is planned or stored."""

from schemas.task import Attachment, Task
from shared.guardrails.policy import GuardrailPolicy
from shared.guardrails.screen import Judge, Tripped
from shared.guardrails.screening import Screening


def screened_task(task: Task, policy: GuardrailPolicy, judge: Judge | None = None) -> tuple[Task, tuple[Tripped, ...]]:
    """Screen a task: return it with redactions, and the guardrails that tripped, each with its action.

    Content that an attachment only refers to (`uri`) is not screened here: it is untrusted wherever it is read.
    """
    screening = Screening(policy, "input", task.tenant, judge)
    change = {
        "objective": screening.text(task.objective, "objective"),
        "constraints": [screening.text(each, f"constraints[{n}]") for n, each in enumerate(task.constraints)],
        "context": task.context.model_copy(
            update={
                "text": task.context.text and screening.text(task.context.text, "context.text"),
                "data": screening.deep(task.context.data, "context.data"),
                "attachments": [_attachment(each, screening) for each in task.context.attachments],
            }
        ),
    }
    if not screening.tripped:
        return task, ()
    return task.model_copy(update=change), tuple(screening.tripped)


def _attachment(file: Attachment, screening: Screening) -> Attachment:
    if file.text is None:
        return file
    return file.model_copy(update={"text": screening.text(file.text, f"attachment {file.name}")})
