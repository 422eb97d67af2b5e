"""Run the reviewer agent."""

from services.reviewer.agent import agent
from shared.service import serve_agent

if __name__ == "__main__":
    serve_agent(agent)
