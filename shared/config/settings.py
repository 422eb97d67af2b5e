"""Every setting of every service: read from the environment once, at start, and passed down."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import NoDecode

from schemas.message import MOST_SECONDS
from shared.config.credentials import presentable, signing_seed
from shared.config.transport import Transport


def _list(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _mapping(value: object) -> object:
    if not isinstance(value, str):
        return value
    return dict(part.strip().split("=", 1) for part in value.split(",") if "=" in part)


def _prices(value: object) -> object:
    pairs = _mapping(value)
    if not isinstance(value, str) or not isinstance(pairs, dict):
        return pairs
    return {model: tuple(price.split("/")) for model, price in pairs.items()}


Names: TypeAlias = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_list)]
Paths: TypeAlias = Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_list)]
Pairs: TypeAlias = Annotated[dict[str, str], NoDecode, BeforeValidator(_mapping)]
Secrets: TypeAlias = Annotated[dict[str, SecretStr], NoDecode, BeforeValidator(_mapping)]
Prices: TypeAlias = Annotated[dict[str, tuple[float, float]], NoDecode, BeforeValidator(_prices)]


class Settings(Transport):
    """A field `name` is read from `WAGGLE_NAME`; lists are comma-separated, mappings `key=value` pairs."""

    gateway: str = Field("http://127.0.0.1:8080", description="Where the command line finds the gateway.")

    http_host: str = Field("127.0.0.1", description="Address the service's HTTP side listens on.")
    http_port: int = Field(
        8080, ge=0, le=65535, description="Port for /live, /ready and /metrics (and the gateway's API)."
    )
    principals: Path | None = Field(
        None,
        validation_alias=AliasChoices("WAGGLE_KEYS"),
        description="TOML file of who may use the gateway and sign decisions, read by the gateway and the "
        "orchestrator: docs/access.md. Unset, nobody is asked for a key.",
    )
    signing_key: SecretStr | None = Field(
        None, description="Key of `waggle keys gateway`: the gateway signs with it what people decide. Nobody else's."
    )
    unsigned_decisions: Literal["refuse", "accept"] = Field(
        "refuse",
        description="Whether a decision without a signature is obeyed: `accept` where everybody who reaches Kafka or "
        "the gateway may decide. `waggle up` sets it when no keys are named.",
    )
    decision_window: float = Field(
        600.0, gt=0, le=86_400, description="Seconds between the signing of a decision and its arrival, at most."
    )
    key: SecretStr | None = Field(None, description="Key the command line shows the gateway.")
    allowed_hosts: Names = Field(
        (),
        description="Host names the gateway may be asked by, beside loopback and the address a request arrives at; "
        "`*`: any. Unset, a gateway that asks for keys takes any.",
    )
    metrics_port: int = Field(
        0, ge=0, le=65535, description="Port for the gateway's /metrics, apart from its callers; 0: the HTTP port."
    )
    max_followers: int = Field(2_000, ge=1, description="Runs that one gateway lets be followed at once.")
    max_followers_per_key: int = Field(500, ge=1, description="Runs that one key may follow at once, of each gateway.")
    log_level: str = Field("INFO", description="Least severe level that is logged.")

    topic_prefix: str = Field("waggle.", description="What every topic and consumer group name starts with.")
    max_in_flight: int = Field(16, ge=1, description="Messages one service works on at once.")
    max_message_bytes: int = Field(1_048_576, ge=1024, description="A larger message is dead-lettered, never retried.")
    fetch_max_wait_ms: int = Field(
        100,
        ge=1,
        description="How long Kafka may hold an empty fetch, in ms. Kafka answers at once when something comes; the "
        "embedded broker does not, it is used with 5.",
    )
    session_timeout: float = Field(
        6.0,
        ge=1,
        description="Seconds after which Kafka gives a dead service's partitions to another one; "
        "not below the broker's `group.min.session.timeout.ms`.",
    )
    instance: str = Field(
        "",
        description="Name of this replica, unique within its service and kept over restarts, such as the name of a "
        "pod of a StatefulSet: Kafka then gives it its partitions back at once. Empty: a new member at each start, "
        "which leaves the group when it stops.",
    )
    step_timeout: float = Field(300.0, gt=0, le=MOST_SECONDS, description="Seconds one agent may work on one handoff.")
    state_ttl: float = Field(
        604_800.0,
        gt=0,
        le=31_536_000,
        description="Seconds the blackboard keeps a run, with its journals and ledger, after it has ended; a live run "
        "never expires. For so long its idempotency key names this run.",
    )

    openai_base_url: str | None = Field(
        None, validation_alias=AliasChoices("OPENAI_BASE_URL"), description="Any OpenAI-compatible endpoint."
    )
    openai_api_key: SecretStr = Field(
        SecretStr("none"), validation_alias=AliasChoices("OPENAI_API_KEY"), description="Key of that endpoint."
    )
    model_strong: str = Field("waggle-simulated", description="Model for reasoning: planning, working, reviewing.")
    model_cheap: str = Field("waggle-simulated", description="Model for parsing, extraction and summaries.")
    model_judge: str = Field("", description="Model for judging what another one wrote; empty: the strong one.")
    model_embed: str = Field("", description="Model that turns texts into vectors; empty: there is none.")
    models: Path | None = Field(
        None,
        description="TOML file with the models of each role, a chain of them where one shall stand in for another, "
        "instead of the four variables above; see [several models](#several-models).",
    )
    model_keys: Secrets = Field(
        default_factory=dict,
        repr=False,
        description="Keys of the endpoints in that file: `name=key`.",
    )
    model_requests_per_minute: int = Field(
        0, ge=0, description="Requests a minute that all services together may make of one model; 0: any number."
    )
    model_tokens_per_minute: int = Field(
        0, ge=0, description="Tokens a minute, prompt and reply, of one model; 0: any number."
    )
    model_prices: Prices = Field(
        default_factory=dict,
        description="US dollars per million tokens of prompt and reply: `model=1.25/10`. A model without a price "
        "here, in that file or in `shared/llm/prices.toml` counts as a dear one.",
    )
    context_window: int = Field(
        128_000, ge=1, description="Tokens the models' context holds: what the metric of its use is a share of."
    )
    model_timeout: float = Field(120.0, gt=0, le=86_400, description="Seconds one model call may take.")
    max_turns: int = Field(16, ge=1, description="Model calls an agent may make for one handoff.")

    day_tokens: int | None = Field(None, ge=0, description="Tokens each tenant may use a day (UTC). Empty: no limit.")
    day_cost_usd: float | None = Field(None, ge=0, description="US dollars each tenant may spend a day on models.")
    day_model_calls: int | None = Field(None, ge=0, description="Model calls each tenant may make a day.")

    guardrails: Path | None = Field(
        None, description="TOML with what the guardrails do where that differs from what is shipped."
    )
    gate: Path | None = Field(
        None,
        description="TOML with what the gate does where that differs from what is shipped: docs/gate.md.",
    )
    tenants: Path | None = Field(
        None, description="TOML file with tenants and tiers: docs/access.md. Unset, every tenant may do everything."
    )
    documents: Paths = Field((), description="Folders the research agent may search and read.")
    databases: Pairs = Field(
        default_factory=dict,
        repr=False,
        description="Databases the data agent may read: `name=postgresql://…` or `name=/path.duckdb`.",
    )
    mcp: Path | None = Field(None, description="TOML file of the MCP servers whose tools agents get: docs/mcp.md.")
    tools: Path | None = Field(None, description="TOML file with the limits of tools: docs/tools.md.")
    fetch_allow: Names = Field((), description="Hosts that may be fetched although their address is not public.")
    webhook_allow: Names = Field((), description="Hosts the communication agent may post to.")
    smtp: str | None = Field(
        None, repr=False, description="`smtp://[user:password@]host:port` (or `smtps://`) mail goes out by."
    )
    mail_from: str = Field("waggle@localhost", description="Sender of the mail the swarm sends.")
    sandbox: str = Field("auto", pattern="^(auto|bubblewrap|monty)$", description="What runs the code agent's Python.")
    max_attachment_bytes: int = Field(
        64 * 1_048_576, ge=1, description="Largest file that may be attached or produced."
    )

    @field_validator("key")
    @classmethod
    def _presentable(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not presentable(key.get_secret_value()):
            raise ValueError("it is no key; copy it again, as `waggle keys new` has printed it")
        return key

    @field_validator("signing_key")
    @classmethod
    def _signs(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None:
            signing_seed(key.get_secret_value())
        return key


def read_settings() -> Settings:
    """The settings of this process. Leaves it with a sentence for each variable that is wrong."""
    try:
        return Settings()
    except ValidationError as wrong:
        sys.exit("\n".join(f"waggle cannot start: {problem}" for problem in wrong_settings(wrong)))


def settings_of(environment: Mapping[str, str]) -> Settings:
    """The settings that a process with this environment has, but for what is set here and not there."""
    variables = {name: variable(name, field) for name, field in Settings.model_fields.items()}
    given: dict[str, Any] = {name: environment[each] for name, each in variables.items() if environment.get(each)}
    return Settings(**given)


def wrong_settings(wrong: ValidationError) -> list[str]:
    """What is wrong, by variable and without the values: they may be passwords."""
    return [_problem(error) for error in wrong.errors(include_url=False, include_input=False, include_context=False)]


def variable(name: str, field: FieldInfo) -> str:
    """The environment variable a field is read from."""
    choices = getattr(field.validation_alias, "choices", None)
    return str(choices[0]) if choices else f"WAGGLE_{name.upper()}"


def _problem(error: Any) -> str:
    message = error["msg"].removeprefix("Value error, ")
    where = str(error["loc"][0]) if error["loc"] else ""
    name = variable(where, Settings.model_fields[where]) if where in Settings.model_fields else where
    return f"{name}: {message}" if name else message
