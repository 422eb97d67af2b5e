"""Run the writer agent."""

from services.writer.agent import agent
from waggle import serve

if __name__ == "__main__":
    serve(agent)
