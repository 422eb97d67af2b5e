"""Pages of the console, one module per subject."""

from services.console.routes import (
    dead_letter_batch,
    dead_letter_edit,
    dead_letters,
    login,
    overview,
    questions,
    run,
    runs,
)

ROUTERS = (
    login.router,
    overview.router,
    runs.router,
    run.router,
    questions.router,
    dead_letter_batch.router,
    dead_letters.router,
    dead_letter_edit.one,
    dead_letters.one,
)

__all__ = ["ROUTERS"]
