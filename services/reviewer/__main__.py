"""Run the reviewer agent."""

from services.reviewer.agent import agent
from waggle import serve

if __name__ == "__main__":
    serve(agent)
