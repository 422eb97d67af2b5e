"""Check that the models' endpoints answer, accept their keys and have the models, and that prices are known."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from schemas.health import ModelHealth
from services.cli.checks.check_result import CheckResult, fail, warn
from shared.config import ModelRole, Settings
from shared.errors import Misconfigured
from shared.system.urls import without_password

if TYPE_CHECKING:
    from shared.llm.endpoints import Endpoint

_OPENAI = "https://api.openai.com/v1"

_OF_VARIABLES = {
    "its address": "OPENAI_BASE_URL",
    "the key of this endpoint": "OPENAI_API_KEY",
    "the name of the model": "WAGGLE_MODEL_STRONG and WAGGLE_MODEL_CHEAP",
}
_OF_FILE = {
    "its address": "WAGGLE_MODELS",
    "the key of this endpoint": "WAGGLE_MODEL_KEYS or OPENAI_API_KEY",
    "the name of the model": "WAGGLE_MODELS",
}
"""Words of a suggested action → the variables that are meant."""

WITHIN = 20.0
"""Seconds an endpoint may take."""


async def check_models(settings: Settings, *, call: bool) -> list[CheckResult]:
    """Return one result per endpoint, and one for unknown prices. `call`: by a paid call of one token to each."""
    from shared.llm.endpoints import chains_of, endpoints_in  # noqa: PLC0415 -- takes a second to import

    try:
        chains = chains_of(settings)
    except Misconfigured as invalid:
        return [fail("model", str(invalid), "correct the file; docs/configuration.md describes it")]
    endpoints = endpoints_in(chains)
    embedding = {each.name for each in chains.get(ModelRole.EMBED, ())}
    reports = await _reports(endpoints, settings, embedding if call else None)
    found = [_result(report, each.base_url, settings) for each, report in zip(endpoints, reports, strict=True)]
    chatting = [each for each in endpoints if each.name not in embedding]
    return (
        found
        + [_context(each) for each in chatting]
        + _prices({each.model for each in endpoints if not each.price.known})
    )


async def _reports(endpoints: "Sequence[Endpoint]", settings: Settings, paid: set[str] | None) -> Sequence[ModelHealth]:
    """Check the endpoints. `paid`: by a call; holds the names of those that embed."""
    from shared.llm.checking import check_by_call, check_by_list  # noqa: PLC0415 -- as above
    from shared.llm.request import client_of  # noqa: PLC0415 -- as above

    async with AsyncExitStack() as stack:
        clients: dict[str, Any] = {
            each.name: await stack.enter_async_context(client_of(each, settings)) for each in endpoints
        }
        if paid is None:
            return await check_by_list(endpoints, lambda each: clients[each.name], WITHIN)
        return [await check_by_call(each, clients[each.name], WITHIN, embeds=each.name in paid) for each in endpoints]


def _result(report: ModelHealth, url: str | None, settings: Settings) -> CheckResult:
    at = without_password((url or _OPENAI).rstrip("/"))
    found = f"{at}: {report.found} ({report.seconds * 1000:.0f} ms)"
    do = report.action
    for part, variables in (_OF_FILE if settings.models else _OF_VARIABLES).items():
        do = do.replace(part, variables)
    return CheckResult(report.verdict, "model", found, do)


def _context(endpoint: "Endpoint") -> CheckResult:
    """Return the size of the model's context, and the way in which its tokens are counted."""
    from shared.llm.tokens import FileTokenizer  # noqa: PLC0415 -- as above

    size = f"{endpoint.model}: {endpoint.context_window:,} tokens"
    if endpoint.tokenizer is None:
        return CheckResult("ok", "context", f"{size}, estimated: no tokenizer is set for it")
    try:
        FileTokenizer(endpoint.tokenizer).check()
    except Misconfigured as wrong:
        return fail("context", f"{size}; {wrong}", "correct WAGGLE_MODEL_TOKENIZERS, or the file of models")
    return CheckResult("ok", "context", f"{size}, counted by its tokenizer")


def _prices(unknown: set[str]) -> list[CheckResult]:
    if not unknown:
        return []
    do = "set WAGGLE_MODEL_PRICES, or cost budgets are exhausted too early"
    return [
        warn("prices", f"no price is set for {', '.join(sorted(unknown))}: charged at the highest configured rate", do)
    ]
