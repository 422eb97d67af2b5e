"""Tool calls of one handoff: parsed, made once, and recorded in its journal with an identity."""

from shared.agent.tools.asking import ASK_PERSON, text_of
from shared.agent.tools.identity import Diverged, check_identity, of_model_call
from shared.agent.tools.journaled import JournaledToolCalls
from shared.agent.tools.toolbox import Toolbox

__all__ = [
    "ASK_PERSON",
    "Diverged",
    "JournaledToolCalls",
    "Toolbox",
    "check_identity",
    "of_model_call",
    "text_of",
]
