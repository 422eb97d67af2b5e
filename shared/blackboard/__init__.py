"""Redis: the live state every service shares. A view of the run log; whoever writes says who, when, why."""

from shared.blackboard.agents import KnownAgents, announce, known_agents
from shared.blackboard.alone import alone
from shared.blackboard.checkpoint import Checkpoint, advance, due, read_checkpoint
from shared.blackboard.connect import OUTAGES, Client, check_redis, tls
from shared.blackboard.followers import CutOff, Followers
from shared.blackboard.journal import Journal, read_journal
from shared.blackboard.live import LiveEvent, note, told
from shared.blackboard.pool import NoConnectionFree
from shared.blackboard.restore import Restorer, RunRecord
from shared.blackboard.runs import Committed, Loaded, RunStore, Write
from shared.blackboard.sentinel import Sentinel
from shared.blackboard.unreadable import UnreadableRun

__all__ = [
    "OUTAGES",
    "Checkpoint",
    "Client",
    "Committed",
    "CutOff",
    "Followers",
    "Journal",
    "KnownAgents",
    "LiveEvent",
    "Loaded",
    "NoConnectionFree",
    "Restorer",
    "RunRecord",
    "RunStore",
    "Sentinel",
    "UnreadableRun",
    "Write",
    "advance",
    "alone",
    "announce",
    "check_redis",
    "due",
    "known_agents",
    "note",
    "read_checkpoint",
    "read_journal",
    "tls",
    "told",
]
