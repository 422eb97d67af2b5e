"""Packing of a conversation into a model's context. Pure: no I/O, and the same result on every replay.

`prompt` holds the conversation and what of it is sent, `digest` the summaries of the rest, `brief` the opening message.
"""

from shared.packing.brief import PackedBrief, pack_brief
from shared.packing.calibration import Calibration
from shared.packing.condense import condensed
from shared.packing.digest import Digest, Summary, digest_of, fitted, joined, summary_message
from shared.packing.prompt import Prompt, TooLong
from shared.packing.record import Sent, assemble, entries_needed
from shared.packing.shares import CONTEXT_SHARE, LOW_WATER, Shares, limit_of, shares_of

__all__ = [
    "CONTEXT_SHARE",
    "LOW_WATER",
    "Calibration",
    "Digest",
    "PackedBrief",
    "Prompt",
    "Sent",
    "Shares",
    "Summary",
    "TooLong",
    "assemble",
    "condensed",
    "digest_of",
    "entries_needed",
    "fitted",
    "joined",
    "limit_of",
    "pack_brief",
    "shares_of",
    "summary_message",
]
