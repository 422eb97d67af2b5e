"""Tool calls of one handoff: parsed, made once, and recorded in its journal with an identity."""

from shared.agent.tools.asking import ASK_PERSON, text_of
from shared.agent.tools.board import board_tools
from shared.agent.tools.handing import NAME as HAND_OFF
from shared.agent.tools.handing import HandingOver, different_targets, hand_off_tool
from shared.agent.tools.identity import Diverged, check_identity, digest_in_journal, of_model_call
from shared.agent.tools.journaled import JournaledToolCalls
from shared.agent.tools.left_out import reader_of
from shared.agent.tools.recall import recall_tool, remembered_in
from shared.agent.tools.toolbox import Toolbox

__all__ = [
    "ASK_PERSON",
    "HAND_OFF",
    "Diverged",
    "HandingOver",
    "JournaledToolCalls",
    "Toolbox",
    "board_tools",
    "check_identity",
    "different_targets",
    "digest_in_journal",
    "hand_off_tool",
    "of_model_call",
    "reader_of",
    "recall_tool",
    "remembered_in",
    "text_of",
]
