"""Run the reviewer agent."""

import shared.system.start  # noqa: F401 -- first, as it makes the other imports quicker
from services.reviewer.agent import agent
from waggle import serve

if __name__ == "__main__":
    serve(agent)
