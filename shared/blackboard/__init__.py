"""Redis: the live state all services share, a view of the run log. Every write names its author, time and reason."""

from shared.blackboard.agents import KnownAgents, announce, known_agents, reports_of_agents, still_announced
from shared.blackboard.board import BoardStore, VersionConflict
from shared.blackboard.checkpoint import Checkpoint, advance, claim_checkpoint_turn, read_checkpoint
from shared.blackboard.claims import ClaimStore
from shared.blackboard.connect import OUTAGES, Client, check_redis, tls
from shared.blackboard.costs import Spending, Sums, costs_of, days_of_costs, tenants_with_costs
from shared.blackboard.exclusive import exclusive
from shared.blackboard.followers import CutOff, Followers
from shared.blackboard.journal import Journal, read_journal
from shared.blackboard.live import EventPage, LiveEvent, append_live_event, read_event_page, read_live_events
from shared.blackboard.pool import NoConnectionFree
from shared.blackboard.restore import Restorer, RunRecord
from shared.blackboard.runs import Committed, Loaded, RunStore, Write
from shared.blackboard.sentinel import Sentinel
from shared.blackboard.unreadable import UnreadableRun

__all__ = [
    "OUTAGES",
    "BoardStore",
    "Checkpoint",
    "ClaimStore",
    "Client",
    "Committed",
    "CutOff",
    "EventPage",
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
    "Spending",
    "Sums",
    "UnreadableRun",
    "VersionConflict",
    "Write",
    "advance",
    "announce",
    "append_live_event",
    "check_redis",
    "claim_checkpoint_turn",
    "costs_of",
    "days_of_costs",
    "exclusive",
    "known_agents",
    "read_checkpoint",
    "read_event_page",
    "read_journal",
    "read_live_events",
    "reports_of_agents",
    "still_announced",
    "tenants_with_costs",
    "tls",
]
