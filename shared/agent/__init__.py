"""Agents: declare one, and the runtime receives, plans its turns, executes, observes and responds for it."""

from shared.agent.context import Context
from shared.agent.declare import Agent, AskHuman
from shared.agent.tools.calls import Answered
from shared.agent.worker import Worker

__all__ = ["Agent", "Answered", "AskHuman", "Context", "Worker"]
