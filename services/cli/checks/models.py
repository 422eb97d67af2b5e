"""Whether the models' endpoints answer, take their keys and have the models that are wanted, and prices are known."""

import httpx

from services.cli.checks.check_result import CheckResult, fail, ok, warn
from shared.config import Settings
from shared.errors import Misconfigured
from shared.system.urls import without_password

_OPENAI = "https://api.openai.com/v1"


async def check_models(http: httpx.AsyncClient, settings: Settings) -> list[CheckResult]:
    """One finding a server and key, and one for prices that nobody has named."""
    from shared.llm.endpoints import chains_of, endpoints_in  # noqa: PLC0415 -- takes a second, and only `doctor` needs it

    try:
        endpoints = endpoints_in(chains_of(settings))
    except Misconfigured as wrong:
        return [fail("model", str(wrong), "docs/configuration.md says what the file takes")]
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
        slow = f"{at} is slow: it takes connections, and does not answer in time"
        return warn("model", slow, "is its machine busy? look again later")
    except (httpx.HTTPError, httpx.InvalidURL) as away:
        reason = str(away) or type(away).__name__
        return fail("model", f"nothing answers at {at}: {reason}", f"start it, or correct {where}")
    if answer.status_code in {401, 403}:
        keys = "WAGGLE_MODEL_KEYS or OPENAI_API_KEY" if settings.models else "OPENAI_API_KEY"
        return fail("model", f"{at} refuses the key", f"correct {keys}")
    if not answer.is_success:
        do = "make sure that it is OpenAI-compatible; it may work all the same"
        return warn("model", f"{at} answers {answer.status_code} when asked for its models", do)
    names = "WAGGLE_MODELS" if settings.models else "WAGGLE_MODEL_STRONG and WAGGLE_MODEL_CHEAP"
    return _listed(at, answer, wanted, f"correct {names}, or load it there")


def _listed(url: str, answer: httpx.Response, wanted: set[str], do: str) -> CheckResult:
    try:
        listed = {str(each["id"]) for each in answer.json()["data"]}
    except (ValueError, KeyError, TypeError):
        return warn("model", f"{url} lists its models in a form of its own", "make sure that it is OpenAI-compatible")
    if missing := sorted(wanted - listed):
        return warn("model", f"{url} does not list {', '.join(missing)}", do)
    return ok("model", f"{url} has {', '.join(sorted(wanted))}")


def _prices(unknown: set[str]) -> list[CheckResult]:
    if not unknown:
        return []
    do = "set WAGGLE_MODEL_PRICES, or budgets of money hold too early"
    return [warn("prices", f"nobody has named a price for {', '.join(sorted(unknown))}: taken for dear", do)]
