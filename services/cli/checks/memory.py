"""Checks of memory: how memories are found, by words and by vectors, and how facts are extracted."""

import asyncio

from services.cli.checks.check_result import CheckResult, fail, ok, warn
from shared.archive import OUTAGES
from shared.config import ModelRole, Settings
from shared.errors import Misconfigured
from shared.memory.connection import offers_vectors
from shared.memory.facts.settings import FactSettings, off_because

_HOW = "set WAGGLE_MEMORY_MODEL or WAGGLE_MODEL_EMBED to find them by meaning, too: docs/memory.md"


async def check_memory(settings: Settings) -> list[CheckResult]:
    """Return how memories are found, and how facts are extracted."""
    return [*await _found(settings), _facts(settings)]


def _facts(settings: Settings) -> CheckResult:
    from shared.llm.endpoints import chains_of  # noqa: PLC0415 -- as below

    own = FactSettings()
    if why := off_because(settings, own):
        return ok("facts", f"no facts are extracted: {why}")
    try:
        model = chains_of(settings)[ModelRole.CHEAP][0].model
    except Misconfigured:  # reported with the models
        return ok("facts", "no facts are extracted until the models are configured")
    return ok(
        "facts", f"facts are extracted by {model}, with {own.memory_facts_day_tokens:,} tokens a day for each tenant"
    )


async def _found(settings: Settings) -> list[CheckResult]:
    try:
        way = await asyncio.to_thread(_way, settings)
    except Misconfigured as wrong:
        return [fail("memory", str(wrong), "correct the folder, or unset the variable: docs/memory.md")]
    if way is None:
        return [ok("memory", f"memories are found by full text alone; {_HOW}")]
    try:
        return [_with_vectors(way, offered=await offers_vectors(settings.postgres))]
    except OUTAGES:  # reported with the stores
        return [ok("memory", f"memories are found by full text and {way}")]


def _way(settings: Settings) -> str | None:
    """Return the maker of vectors, in words; None without one. Raises Misconfigured."""
    from shared.llm.endpoints import chains_of  # noqa: PLC0415 -- takes a second to import
    from shared.memory.embedder import check_folder  # noqa: PLC0415 -- loads the model

    if settings.memory_model is not None:
        check_folder(settings.memory_model)
        return f"vectors of the local model in {settings.memory_model}"
    chain = chains_of(settings).get(ModelRole.EMBED)
    return f"vectors of the endpoint's model {chain[0].model}" if chain else None


def _with_vectors(way: str, *, offered: bool) -> CheckResult:
    if offered:
        return ok("memory", f"memories are found by full text and {way}")
    found = f"memories are found by full text alone: Postgres lacks the extension `vector`, so {way} are not used"
    return warn("memory", found, "install pgvector on the server of WAGGLE_POSTGRES")
