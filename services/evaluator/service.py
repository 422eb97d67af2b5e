"""The evaluator checks a sample of the ended runs by rule, and has the results recorded as events of the runs."""

import re

from services.evaluator.evaluating import Evaluator
from services.evaluator.settings import EvaluatorSettings, read_evaluating
from shared.bus import Delivery
from shared.bus.groups import EVALUATOR, OBSERVED
from shared.service import Observed, connect, serve
from shared.service.ended_runs import EndedRuns
from shared.service.policies import read_configuration


def main() -> None:
    """Serve until asked to stop."""
    settings, own = read_configuration(EvaluatorSettings, lambda _, own: read_evaluating(own.evaluation))
    parts = connect(EVALUATOR, settings, own)
    evaluator = Evaluator(parts, read_evaluating(own.evaluation), EndedRuns(parts))
    log = rf"^{re.escape(settings.topic_prefix + OBSERVED)}$"  # from its end at the first start: old runs are history
    serve(parts, [], _nothing, observed=Observed(log, evaluator.watch))


async def _nothing(delivery: Delivery) -> None:
    raise AssertionError("the service has no topic of its own that it consumes alone")
