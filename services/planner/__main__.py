"""Run the planner agent."""

import shared.system.start  # noqa: F401 -- first, as it makes the other imports quicker
from services.planner.agent import agent
from waggle import serve

if __name__ == "__main__":
    serve(agent)
