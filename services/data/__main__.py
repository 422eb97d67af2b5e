"""Run the data agent."""

from services.data.agent import agent
from waggle import serve

if __name__ == "__main__":
    serve(agent)
