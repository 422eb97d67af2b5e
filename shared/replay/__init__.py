"""Replay of recorded runs: each decision and each turn is decided again from the logs, without touching anything."""

from shared.replay.agents_known import AgentsKnown
from shared.replay.changes import ChangeReplay, Recording, replay_changes
from shared.replay.outcome import Difference, Outcome

__all__ = ["AgentsKnown", "ChangeReplay", "Difference", "Outcome", "Recording", "replay_changes"]
