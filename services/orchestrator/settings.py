"""Settings of the orchestrator."""

from pydantic import Field

from shared.access.settings import AccessSettings


class OrchestratorSettings(AccessSettings):
    """Verification of decisions."""

    decision_window: float = Field(
        600.0, gt=0, le=86_400, description="Seconds between the signing of a decision and its arrival, at most."
    )
