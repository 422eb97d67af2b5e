"""The agents that a decision is made with are those of the blackboard that the run was loaded from."""

from prometheus_client import CollectorRegistry

from schemas.plan import AgentCard
from schemas.task import Task
from services.orchestrator.deciding import Decider
from shared.blackboard import Loaded
from shared.runs import Intake
from shared.runs.governance import default_governance
from shared.telemetry.metrics import Metrics

CARD = AgentCard(name="data", description="tables")


class Rebuilt:
    """A blackboard that is lost before a run is loaded, and rebuilt meanwhile."""

    def __init__(self):
        self.known = {}

    async def get(self):
        return self.known

    def recall(self, tenant, run_id):
        return None

    async def load(self, tenant, run_id):
        self.known = {"data": CARD}
        return Loaded(None, 0, "2")


async def test_agents_are_read_after_the_run_since_a_rebuild_may_come_between():
    blackboard = Rebuilt()
    intake = Intake("run-1", "t1", Task(objective="count", shape="single", agent="data"))
    decided = await Decider(blackboard, blackboard, Metrics(CollectorRegistry()), default_governance()).decide(
        intake, attempt=1
    )
    assert "data" in decided.decision.run.steps
