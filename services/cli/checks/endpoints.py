"""Check that the models' endpoints, the gateway, the trace collector and the mail server answer."""

import asyncio
import smtplib
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import unquote, urlsplit

import httpx
from pydantic import SecretStr

from services.cli.checks.check_result import CheckResult, fail, ok, warn
from services.cli.checks.models import check_models
from services.cli.checks.swarm import check_swarm
from services.cli.settings import CliSettings
from shared.config import Settings, settings_of
from shared.system.urls import without_password

_WITHIN = httpx.Timeout(20.0, connect=5.0)
"""Seconds an endpoint may take. One that accepts a connection is running, perhaps busy, and gets longer."""

_MAIL_WITHIN = 5.0
"""Seconds the mail server may take for one reply."""

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}

_CREATE = "an operator creates a key with `waggle keys new NAME`"

_BUSY = "check whether its machine is busy, and repeat later"

_OUTAGES = (httpx.HTTPError, httpx.InvalidURL)


async def check_endpoints(
    settings: Settings, environment: Mapping[str, str], *, call: bool = False
) -> list[CheckResult]:
    """Check the endpoints that are configured. `call`: the models by a paid call of one token each."""
    async with httpx.AsyncClient(timeout=_WITHIN) as http:
        collector = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        parts = await asyncio.gather(
            check_models(settings, call=call),
            _gateway(http, settings_of(environment, CliSettings)),
            _if(collector, lambda url: _collector(http, url)),
            _if(environment.get("WAGGLE_SMTP", "").strip(), lambda url: asyncio.to_thread(_mail, url)),
        )
    return [each for part in parts for each in part]


async def _if(url: str | None, check: Callable[[str], Awaitable[CheckResult]]) -> list[CheckResult]:
    return [await check(url)] if url else []


async def _gateway(http: httpx.AsyncClient, settings: CliSettings) -> list[CheckResult]:
    url, at = settings.gateway.rstrip("/"), without_password(settings.gateway)
    try:
        answer = await http.get(f"{url}/ready")
        if answer.text != "ready":
            do = "see its log, and fix the failures above"
            return [fail("gateway", f"{at} answers {answer.status_code}: {answer.text[:300]}", do)]
        access = await _access(http, url, settings.key)
        swarm = [] if access.level == "fail" else await check_swarm(http, url, _shown_key(settings.key))
        return [ok("gateway", f"{at} is ready"), access, *swarm]
    except httpx.ReadTimeout:
        return [warn("gateway", f"{at} is slow: it accepts connections but does not answer in time", _BUSY)]
    except _OUTAGES as outage:
        do = "start it, or correct WAGGLE_GATEWAY"
        return [fail("gateway", f"nothing answers at {at}: {_reason(outage)}", do)]


async def _access(http: httpx.AsyncClient, url: str, key: SecretStr | None) -> CheckResult:
    """Check whether the gateway requires a key, and accepts ours."""
    asked = f"{url}/v1/agents"
    if (await http.get(asked)).status_code != httpx.codes.UNAUTHORIZED:
        return _open(url)
    if key is None:
        return fail("access", "the gateway requires a key", f"set WAGGLE_KEY; {_CREATE}")
    answer = await http.get(asked, headers=_shown_key(key))
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        return fail("access", "the gateway does not know this key", f"correct WAGGLE_KEY; {_CREATE}")
    return ok("access", "the gateway requires a key, and accepts this one")


def _shown_key(key: SecretStr | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}


def _open(url: str) -> CheckResult:
    if urlsplit(url).hostname in _LOOPBACK:
        return ok("access", "the gateway requires no key, and is on this machine")
    found = "the gateway requires no key: anyone who reaches it may do everything"
    return warn("access", found, "set its WAGGLE_KEYS (docs/access.md)")


async def _collector(http: httpx.AsyncClient, url: str) -> CheckResult:
    """Send an empty batch of spans, which OTLP allows."""
    target = f"{url.rstrip('/')}/v1/traces"
    at = without_password(target)
    try:
        answer = await http.post(target, content=b"", headers={"Content-Type": "application/x-protobuf"})
    except _OUTAGES as outage:
        do = "start it, or correct OTEL_EXPORTER_OTLP_ENDPOINT; only traces are lost without it"
        return warn("traces", f"nothing answers at {at}: {_reason(outage)}", do)
    if not answer.is_success:
        return warn(
            "traces", f"{at} answers {answer.status_code}", "set it to an endpoint of OTLP over HTTP, usually port 4318"
        )
    return ok("traces", f"{at} accepts spans")


def _mail(url: str) -> CheckResult:
    at, parts = without_password(url), urlsplit(url)
    kind = smtplib.SMTP_SSL if parts.scheme == "smtps" else smtplib.SMTP
    try:
        with kind(parts.hostname or "", parts.port or 0, timeout=_MAIL_WITHIN) as server:
            if parts.username and parts.scheme == "smtp" and parts.hostname not in _LOOPBACK:
                server.starttls()
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            server.noop()
    except smtplib.SMTPAuthenticationError:
        return fail("mail", f"{at} rejects the user or the password", "correct WAGGLE_SMTP")
    except (OSError, smtplib.SMTPException, ValueError) as outage:
        return fail("mail", f"{at} cannot be used: {type(outage).__name__}", "start it, or correct WAGGLE_SMTP")
    return ok("mail", f"{at} accepts mail")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
