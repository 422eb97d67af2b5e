"""Settings every service reads, once, at start; those of one service are in its folder, in `settings.py`."""

from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr

from schemas.message import MOST_SECONDS
from shared.config.environment import MOST_TOKENS, Files, Names, Prices, Secrets, Sizes
from shared.config.transport import Transport


class Settings(Transport):
    """Settings of every service. No field is about one agent only."""

    http_host: str = Field("127.0.0.1", description="Address the service's HTTP side listens on.")
    http_port: int = Field(
        8080, ge=0, le=65535, description="Port for /live, /ready and /metrics (and the gateway's API)."
    )
    log_level: str = Field("INFO", description="Least severe level that is logged.")

    topic_prefix: str = Field("waggle.", description="Prefix of every topic and consumer group name.")
    max_in_flight: int = Field(16, ge=1, description="Messages one service works on at once.")
    max_message_bytes: int = Field(1_048_576, ge=1024, description="A larger message is dead-lettered, never retried.")
    fetch_max_wait_ms: int = Field(
        500,
        ge=1,
        description="Milliseconds Kafka may hold an empty fetch; it answers as soon as a record arrives.",
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
    seal: bool = Field(
        False,
        description="Encrypt what records in Kafka hold of a run under a key of that run, so that it can be forgotten. "
        "Every release from 0.1.0 reads such records. It needs Postgres, which keeps the keys: docs/forgetting.md.",
    )
    state_ttl: float = Field(
        604_800.0,
        gt=0,
        le=31_536_000,
        description="Seconds the blackboard keeps a run, with its journals and ledger, after it has ended; a live run "
        "never expires. For so long its idempotency key names this run.",
    )

    session_ttl: float = Field(
        604_800.0,
        gt=0,
        le=2_419_200,
        description="Seconds a conversation is kept after its last task started or ended, at most as long as a run "
        "(`WAGGLE_STATE_TTL`); a task of its session then starts with an empty one.",
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
    memory_model: Path | None = Field(
        None,
        description="Folder of a small local model for the vectors of memories, `model.onnx` and `tokenizer.json`, "
        "in place of an endpoint's. It needs the extra `memory`. With neither, memories are found by words alone.",
    )
    memory_in_brief: int = Field(
        5, ge=0, le=20, description="Memories of earlier runs that the brief of a step or a plan shows; 0: none."
    )
    memory_brief_tokens: int = Field(
        600, ge=0, le=MOST_TOKENS, description="Estimated tokens of those memories together; 0: none."
    )
    models: Path | None = Field(
        None,
        description="TOML file with the models of each role, in order of preference where several are named, "
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
        "here, in that file or in `shared/llm/prices.toml` is charged at the high price set there for unknown ones.",
    )
    context_window: int = Field(
        128_000,
        ge=1,
        le=MOST_TOKENS,
        description="Tokens of a model's context, if neither the next variable nor the file of models says so. Prompts "
        "take at most 60 % of it; see [context windows](#context-windows).",
    )
    model_windows: Sizes = Field(
        default_factory=dict, description="Tokens of the context by model: `model=32768`, separated by commas."
    )
    model_tokenizers: Files = Field(
        default_factory=dict,
        description="Tokenizer by model, a `tokenizer.json` of Hugging Face: `model=/path/tokenizer.json`. It "
        "needs the extra `tokenizers`. The tokens of other models are estimated.",
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
    mcp: Path | None = Field(None, description="TOML file of the MCP servers whose tools agents get: docs/mcp.md.")
    tools: Path | None = Field(None, description="TOML file with the limits of tools: docs/tools.md.")
    fetch_allow: Names = Field((), description="Hosts that may be fetched although their address is not public.")
    max_attachment_bytes: int = Field(
        64 * 1_048_576, ge=1, description="Largest file that may be attached or produced."
    )
