"""Run the research agent."""

from services.research.agent import agent
from waggle import serve

if __name__ == "__main__":
    serve(agent)
