"""Check of the endpoints of models: by the list of their models, which costs nothing, or by one call of one token."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from socket import gaierror
from ssl import SSLError
from typing import Any, NamedTuple

from schemas.health import LONGEST_FINDING, ModelHealth
from shared.llm.endpoints import Endpoint
from shared.llm.failure import GARBLED, QUOTA, NotAnswered

PAID = "`waggle doctor --call` makes one call of 1 token"
UNCHECKED = "it has no list of models that can be read: it cannot be checked without a paid call"

_NO_SUCH_ROUTE = {"status_400", "status_404", "status_405", "status_501", GARBLED}


class _Finding(NamedTuple):
    verdict: str
    found: str
    action: str = ""


Clients = Callable[[Endpoint], Any]


async def check_by_list(endpoints: Sequence[Endpoint], client_for: Clients, within: float) -> list[ModelHealth]:
    """Ask each server for its models, once per address and key."""
    answers: dict[tuple[str | None, str], tuple[Any, float]] = {}
    reports = []
    for each in endpoints:
        at = (each.base_url, each.api_key.get_secret_value())
        if at not in answers:
            answers[at] = await _listed(client_for(each), within)
        listed, seconds = answers[at]
        reports.append(_report(each, _of_list(listed, each.model, within), seconds))
    return reports


async def _listed(client: Any, within: float) -> tuple[Any, float]:
    """Return the server's answer, or its failure, and the time it took."""
    from shared.llm.request import list_models  # noqa: PLC0415 -- slow to import

    began = time.monotonic()
    try:
        answer = await list_models(client, within)
    except NotAnswered as failure:
        answer = failure
    return answer, time.monotonic() - began


def _of_list(answer: Any, model: str, within: float) -> _Finding:
    if isinstance(answer, NotAnswered):
        if _was_impossible(answer):
            return _Finding("fail", "no request can be made to its address", "correct its address")
        cannot = answer.code in _NO_SUCH_ROUTE
        return _Finding("warn", UNCHECKED, PAID) if cannot else _of_failure(answer, model, within)
    try:
        names = [str(each["id"]) for each in answer["data"]]
    except (KeyError, TypeError):
        return _Finding("warn", UNCHECKED, PAID)
    if model in names:
        return _Finding("ok", f"it answers, and has {model}")
    near = get_close_matches(model, names, n=1)
    return _Finding("warn", f"it answers, but does not list the model {model}", _correct(near))


def _was_impossible(failure: NotAnswered) -> bool:
    """Return True if the client rejected the address itself, such as one with a password."""
    return isinstance(failure.__cause__, ValueError) and not isinstance(failure.__cause__, json.JSONDecodeError)


def _correct(near: list[str]) -> str:
    meant = f"did you mean {near[0][:100]}? " if near else ""
    return f"{meant}correct the name of the model, or load it there"


async def check_by_call(endpoint: Endpoint, client: Any, within: float, *, embeds: bool) -> ModelHealth:
    """Make one call of one token, which is paid and in no budget."""
    from shared.llm.request import complete, vectorize  # noqa: PLC0415 -- slow to import

    began = time.monotonic()
    try:
        if embeds:
            await vectorize(client, {"model": endpoint.model, "input": ["a"]}, within)
        else:
            chat = [{"role": "user", "content": "a"}]
            await complete(client, {"model": endpoint.model, "messages": chat, "max_completion_tokens": 1}, within)
        finding = _Finding("ok", f"{endpoint.model} answered a call of 1 token")
    except NotAnswered as failure:
        finding = _of_failure(failure, endpoint.model, within)
    return _report(endpoint, finding, time.monotonic() - began)


def _of_failure(failure: NotAnswered, model: str, within: float) -> _Finding:
    status = failure.code.removeprefix("status_")
    match failure.code:
        case "status_401" | "status_403":
            return _Finding("fail", f"it rejects the key ({status})", "correct the key of this endpoint")
        case "status_404":
            return _Finding("fail", f"it has no model {model} (404)", _correct([]))
        case "connection" | "timeout" if failure.free:  # no connection was made
            return _Finding("fail", f"nothing answers: {_cause(failure)}", "start it, or correct its address")
        case "connection":
            return _Finding("fail", "it broke the connection off", "see its log")
        case "timeout":
            return _Finding("warn", f"it did not answer within {within:g} s", "check whether its machine is busy")
        case "rate_limited":
            return _Finding("warn", "it accepts no more requests now (429)", "wait, or raise the limit there")
        case _ if failure.code == QUOTA:
            return _Finding("fail", "the provider's quota or credit is used up", "raise it there")
    answer = f"it answers with status {status}" if status.isdecimal() else f"its answer is no use ({failure.code})"
    return _Finding("fail", answer, "make sure that it is OpenAI-compatible, and see its log")


def _cause(failure: BaseException) -> str:
    """Return the reason of a failed connection, without the address, which may hold a password."""
    for each in _causes(failure):
        match each:
            case gaierror():
                return "the name of its host is not known"
            case SSLError():
                return "its certificate cannot be verified"
            case ConnectionRefusedError():
                return "the connection is refused"
    return "there is no connection"


def _causes(failure: BaseException | None) -> Iterator[BaseException]:
    for _ in range(10):
        if failure is None:
            return
        yield failure
        inner = getattr(failure, "os_error", None)
        if isinstance(inner, BaseException):
            yield inner
        failure = failure.__cause__ or failure.__context__


def _report(endpoint: Endpoint, finding: _Finding, seconds: float) -> ModelHealth:
    """Return the report. An endpoint without a name of its own is called by its host, which is not reported."""
    return ModelHealth.model_validate(
        {
            "endpoint": "" if endpoint.name.endswith(f"/{endpoint.model}") else endpoint.name[:200],
            "model": endpoint.model[:200],
            "verdict": finding.verdict,
            "found": finding.found[:LONGEST_FINDING],
            "action": finding.action[:LONGEST_FINDING],
            "seconds": seconds,
            "at": datetime.now(UTC),
        }
    )
