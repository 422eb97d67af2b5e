"""Run the code agent."""

from services.code.agent import agent
from waggle import serve

if __name__ == "__main__":
    serve(agent)
