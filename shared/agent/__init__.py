"""Agents: declare one, and the runtime receives, plans its turns, executes, observes and responds for it."""

from shared.agent.actions import ToolResult
from shared.agent.context import Context
from shared.agent.declare import Agent, AskHuman
from shared.agent.worker import Worker

__all__ = ["Agent", "AskHuman", "Context", "ToolResult", "Worker"]
