"""Agents: declare one, and the runtime receives, plans its turns, executes, observes and responds for it."""

from shared.agent.context import Context
from shared.agent.declare import Agent, AskHuman, HandOff

__all__ = ["Agent", "AskHuman", "Context", "HandOff"]
