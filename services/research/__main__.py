"""Run the research agent."""

import shared.system.start  # noqa: F401 -- first, as it makes the other imports quicker
from services.research.agent import agent
from waggle import serve

if __name__ == "__main__":
    serve(agent)
