"""Run the planner agent."""

from services.planner.agent import agent
from waggle import serve

if __name__ == "__main__":
    serve(agent)
