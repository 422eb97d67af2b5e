"""Pages of the console, one module per subject."""

from services.console.routes import login, overview, questions, run, runs

ROUTERS = (login.router, overview.router, runs.router, run.router, questions.router)

__all__ = ["ROUTERS"]
