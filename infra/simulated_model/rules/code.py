"""Code: writes a small program and its test, runs both, and says what came out."""

from infra.simulated_model.rules.ask import Rule, ask_all
from infra.simulated_model.situation import Brief, Situation
from schemas.step import Findings


def program(situation: Situation) -> Rule:
    """What the simulated model cannot write, it says."""
    yield from ask_all()
    said = f"The simulated model cannot write this program: {(situation.brief or Brief(objective='')).objective[:200]}"
    return Findings(answer=said, facts=[], sources=[], confidence=0.1, caveats=["Nothing was verified by a program."])
