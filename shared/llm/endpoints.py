"""Model endpoints and their order for each role, read from the settings at start."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from shared.config import MOST_TOKENS, ModelRole, Settings, Strict, read_toml, tls_context
from shared.errors import Misconfigured
from shared.llm.prices import Price, price_of


class Endpoint(Strict):
    """One model at one address."""

    name: str
    """Name of the endpoint in logs and in its shared limits."""
    model: str = Field(min_length=1)
    base_url: str | None
    api_key: SecretStr
    requests_per_minute: int = Field(ge=0)
    tokens_per_minute: int = Field(ge=0)
    price: Price
    context_window: int = Field(ge=1)
    """Tokens of the model's context."""
    tokenizer: Path | None = None
    """Its `tokenizer.json`; None: its tokens are estimated."""


class _Declared(Strict):
    """An endpoint as declared in the file."""

    model: str = Field(min_length=1)
    base_url: str | None = None
    requests_per_minute: int | None = Field(None, ge=0)
    tokens_per_minute: int | None = Field(None, ge=0)
    price: tuple[float, float] | None = None
    context_window: int | None = Field(None, ge=1, le=MOST_TOKENS)
    tokenizer: Path | None = None


class _File(Strict):
    roles: dict[ModelRole, list[str]]
    endpoints: dict[str, _Declared]


Chains = Mapping[ModelRole, tuple[Endpoint, ...]]
"""Endpoints of each role, the preferred one first. Roles without an endpoint are absent."""


def chains_of(settings: Settings) -> Chains:
    """Return the endpoints named by the settings. Raises Misconfigured."""
    return _of_file(settings.models, settings) if settings.models else _of_variables(settings)


def endpoints_in(chains: Chains) -> list[Endpoint]:
    """Return each endpoint once."""
    return list({each.name: each for chain in chains.values() for each in chain}.values())


def _of_variables(settings: Settings) -> Chains:
    models = {
        ModelRole.STRONG: settings.model_strong,
        ModelRole.CHEAP: settings.model_cheap,
        ModelRole.JUDGE: settings.model_judge or settings.model_strong,
        ModelRole.EMBED: settings.model_embed,
    }
    where = _host(settings.openai_base_url) or "openai"
    named = {role: model for role, model in models.items() if model}
    return {role: (_endpoint(f"{where}/{model}", _Declared(model=model), settings),) for role, model in named.items()}


def _host(url: str | None) -> str | None:
    if url is not None:
        _checked(url, "OPENAI_BASE_URL")
    return urlsplit(url or "").hostname


def _of_file(path: Path, settings: Settings) -> Chains:
    file = read_toml(path, _File, "WAGGLE_MODELS")
    made = {name: _endpoint(name, declared, settings) for name, declared in file.endpoints.items()}
    if unknown := {name for chain in file.roles.values() for name in chain} - set(made):
        raise Misconfigured(
            f"WAGGLE_MODELS: {path}: roles name {', '.join(sorted(unknown))}, which no [endpoints.…] is"
        )
    chains = {role: tuple(made[name] for name in names) for role, names in file.roles.items() if names}
    if ModelRole.STRONG not in chains:
        raise Misconfigured(f"WAGGLE_MODELS: {path}: [roles] names no endpoint for `strong`")
    return {ModelRole.CHEAP: chains[ModelRole.STRONG], ModelRole.JUDGE: chains[ModelRole.STRONG]} | chains


def check_certificates(environment: Mapping[str, str]) -> None:
    """Raise Misconfigured if the authorities that the model's client verifies servers with cannot be read."""
    if not (file := environment.get("SSL_CERT_FILE")):
        return
    try:
        tls_context(Path(file), None, None)
    except OSError as why:
        raise Misconfigured(f"SSL_CERT_FILE: {file} holds no certificate that can be read: {why.strerror}") from None


def _checked(url: str, where: str) -> None:
    """Raise Misconfigured for an address no request can be sent to; checked here, as the client is made later."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or True)
    except ValueError:
        valid = False
    if not valid:
        raise Misconfigured(f"{where} is no address of a model: write http://host:port/v1 or https://host/v1")


def _endpoint(name: str, declared: _Declared, settings: Settings) -> Endpoint:
    """Return the endpoint. An API key is used only with the address it was set for."""
    if declared.base_url is not None:
        _checked(declared.base_url, f"WAGGLE_MODELS: endpoints.{name}.base_url")
    elif settings.openai_base_url is not None:
        _checked(settings.openai_base_url, "OPENAI_BASE_URL")
    ours: dict[str, Any] = {"base_url": settings.openai_base_url, "api_key": settings.openai_api_key}
    own: dict[str, Any] = {"base_url": declared.base_url, "api_key": SecretStr("none")}
    where = own if declared.base_url else ours
    if name in settings.model_keys:
        where["api_key"] = settings.model_keys[name]
    requests, tokens = declared.requests_per_minute, declared.tokens_per_minute
    window = declared.context_window or settings.model_windows.get(declared.model, settings.context_window)
    return Endpoint(
        name=name,
        model=declared.model,
        requests_per_minute=settings.model_requests_per_minute if requests is None else requests,
        tokens_per_minute=settings.model_tokens_per_minute if tokens is None else tokens,
        price=Price(*declared.price) if declared.price else price_of(declared.model, settings.model_prices),
        context_window=window,
        tokenizer=_tokenizer(name, declared, settings),
        **where,
    )


def _tokenizer(name: str, declared: _Declared, settings: Settings) -> Path | None:
    """Return the file of the model's tokenizer. Raises Misconfigured if there is no such file."""
    file = declared.tokenizer or settings.model_tokenizers.get(declared.model)
    if file is not None and not file.is_file():
        where = f"WAGGLE_MODELS: endpoints.{name}.tokenizer" if declared.tokenizer else "WAGGLE_MODEL_TOKENIZERS"
        raise Misconfigured(f"{where}: there is no file {file}")
    return file
