"""Check that the models' endpoints answer, accept their keys and have the models, and that prices are known."""

import httpx

from services.cli.checks.check_result import CheckResult, fail, ok, warn
from shared.config import Settings
from shared.errors import Misconfigured
from shared.system.urls import without_password

_OPENAI = "https://api.openai.com/v1"


async def check_models(http: httpx.AsyncClient, settings: Settings) -> list[CheckResult]:
    """Return one result per server and key, and one for unknown prices."""
    from shared.llm.endpoints import chains_of, endpoints_in  # noqa: PLC0415 -- takes a second to import

    try:
        endpoints = endpoints_in(chains_of(settings))
    except Misconfigured as invalid:
        return [fail("model", str(invalid), "correct the file; docs/configuration.md describes it")]
    servers: dict[tuple[str, str], set[str]] = {}
    for each in endpoints:
        at = ((each.base_url or _OPENAI).rstrip("/"), each.api_key.get_secret_value())
        servers.setdefault(at, set()).add(each.model)
    found = [await _server(http, url, key, wanted, settings) for (url, key), wanted in servers.items()]
    return found + _prices({each.model for each in endpoints if not each.price.known})


async def _server(http: httpx.AsyncClient, url: str, key: str, wanted: set[str], settings: Settings) -> CheckResult:
    where, at = "WAGGLE_MODELS" if settings.models else "OPENAI_BASE_URL", without_password(url)
    try:
        answer = await http.get(f"{url}/models", headers={"Authorization": f"Bearer {key}"})
    except httpx.ReadTimeout:
        slow = f"{at} is slow: it accepts connections but does not answer in time"
        return warn("model", slow, "check whether its machine is busy, and repeat later")
    except (httpx.HTTPError, httpx.InvalidURL) as outage:
        reason = str(outage) or type(outage).__name__
        return fail("model", f"nothing answers at {at}: {reason}", f"start it, or correct {where}")
    if answer.status_code in {401, 403}:
        keys = "WAGGLE_MODEL_KEYS or OPENAI_API_KEY" if settings.models else "OPENAI_API_KEY"
        return fail("model", f"{at} rejects the key", f"correct {keys}")
    if not answer.is_success:
        do = "make sure that it is OpenAI-compatible; it may work nevertheless"
        return warn("model", f"{at} answers {answer.status_code} to a request for its models", do)
    names = "WAGGLE_MODELS" if settings.models else "WAGGLE_MODEL_STRONG and WAGGLE_MODEL_CHEAP"
    return _listed(at, answer, wanted, f"correct {names}, or load it there")


def _listed(url: str, answer: httpx.Response, wanted: set[str], do: str) -> CheckResult:
    try:
        listed = {str(each["id"]) for each in answer.json()["data"]}
    except (ValueError, KeyError, TypeError):
        return warn("model", f"{url} lists its models in an unknown format", "make sure that it is OpenAI-compatible")
    if missing := sorted(wanted - listed):
        return warn("model", f"{url} does not list {', '.join(missing)}", do)
    return ok("model", f"{url} has {', '.join(sorted(wanted))}")


def _prices(unknown: set[str]) -> list[CheckResult]:
    if not unknown:
        return []
    do = "set WAGGLE_MODEL_PRICES, or cost budgets are exhausted too early"
    return [
        warn("prices", f"no price is set for {', '.join(sorted(unknown))}: charged at the highest configured rate", do)
    ]
