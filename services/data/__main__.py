"""Run the data agent."""

from services.data.agent import agent
from shared.agent.serve import serve_agent

if __name__ == "__main__":
    serve_agent(agent)
