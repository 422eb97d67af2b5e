"""Pages of the console, one module per subject."""

from services.console.routes import (
    agents,
    apply,
    batch,
    contents,
    costs,
    dead_letter_batch,
    dead_letter_edit,
    dead_letters,
    doctor,
    identity,
    live,
    login,
    overview,
    questions,
    resubmit,
    run,
    runs,
    submit,
    topics,
)

ROUTERS = (
    login.router,
    identity.router,
    overview.router,
    runs.router,
    run.router,
    live.router,
    contents.router,
    resubmit.router,
    questions.router,
    batch.router,
    submit.router,
    apply.router,
    costs.router,
    topics.router,
    agents.router,
    doctor.router,
    dead_letter_batch.router,
    dead_letters.router,
    dead_letter_edit.one,
    dead_letters.one,
)

__all__ = ["ROUTERS"]
