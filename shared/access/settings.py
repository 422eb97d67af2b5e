"""Settings of the services that check who gives an order: the gateway and the orchestrator."""

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field

from shared.config import ServiceSettings


class AccessSettings(ServiceSettings):
    """Known callers, and the treatment of unsigned decisions."""

    principals: Path | None = Field(
        None,
        validation_alias=AliasChoices("WAGGLE_KEYS"),
        description="TOML file of the callers that may use the gateway and sign decisions, read by the gateway and the "
        "orchestrator: docs/access.md. Unset, no key is required.",
    )
    unsigned_decisions: Literal["refuse", "accept"] = Field(
        "refuse",
        description="Treatment of decisions without a signature: `accept` if every client that reaches Kafka or the "
        "gateway may decide. `waggle up` sets it when no keys are named.",
    )
