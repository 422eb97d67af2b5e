"""Run the communication agent."""

from services.communication.agent import agent
from waggle import serve

if __name__ == "__main__":
    serve(agent)
