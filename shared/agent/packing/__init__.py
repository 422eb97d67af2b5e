"""Packing of the prompts of a conversation: within the model's context, recorded, and the same on every replay."""

from shared.agent.packing.asking import ask_model, longest_reply
from shared.agent.packing.packer import PromptPacker

__all__ = ["PromptPacker", "ask_model", "longest_reply"]
