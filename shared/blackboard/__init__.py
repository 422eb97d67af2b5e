"""Redis: the live state every service shares. A view of the run log; whoever writes says who, when, why."""

from shared.blackboard.agents import announce, known_agents
from shared.blackboard.connect import OUTAGES, Client, connect
from shared.blackboard.journal import Journal
from shared.blackboard.live import LiveEvent, follow, note
from shared.blackboard.runs import RunStore, Write
from shared.blackboard.timers import due_records, fired, wait_until

__all__ = [
    "OUTAGES",
    "Client",
    "Journal",
    "LiveEvent",
    "RunStore",
    "Write",
    "announce",
    "connect",
    "due_records",
    "fired",
    "follow",
    "known_agents",
    "note",
    "wait_until",
]
