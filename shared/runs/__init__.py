"""The pure core: the state of a run, its events and its decisions. No I/O, no clock, no randomness."""

from schemas.event import ENDS
from schemas.run_id import run_id_for
from shared.runs.builder import Outgoing
from shared.runs.commands import refusal_of
from shared.runs.decide import UNREAD, Decision, Intake, decide, end_unread, give_up
from shared.runs.evolve import evolve, replay
from shared.runs.machine import LEGAL_MOVES, may_move
from shared.runs.resend import reissue
from shared.runs.run import Run, StepRecord, awaited_handoffs

__all__ = [
    "ENDS",
    "LEGAL_MOVES",
    "UNREAD",
    "Decision",
    "Intake",
    "Outgoing",
    "Run",
    "StepRecord",
    "awaited_handoffs",
    "decide",
    "end_unread",
    "evolve",
    "give_up",
    "may_move",
    "refusal_of",
    "reissue",
    "replay",
    "run_id_for",
]
