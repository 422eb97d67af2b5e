"""Run the communication agent."""

from services.communication.agent import agent
from shared.agent.serve import serve_agent

if __name__ == "__main__":
    serve_agent(agent)
