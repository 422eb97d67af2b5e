"""`python -m infra.reference [--check]`: writes docs/configuration.md from the settings."""

from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from infra.generated import write_or_check
from shared.config import Settings, variable

PAGE = Path("docs/configuration.md")
_HEAD = """\
# Configuration

Every service reads the same environment variables, once, at start. Lists are comma-separated, mappings are
`key=value` pairs. Whitespace around a value is dropped, as files and secrets end in it; a line break or another
control character inside one is refused at start, by the variable's name. Traces go to where the standard
`OTEL_EXPORTER_OTLP_ENDPOINT` says; unset, they go nowhere. `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` hold as
everywhere, but no proxy is ever asked for what runs on this machine.

| variable | default | meaning |
|---|---|---|
"""

_TAIL = """
## Several models

Without `WAGGLE_MODELS` the strong, the cheap, the judge and the embedding model are all at `OPENAI_BASE_URL`. The
file that it names says for each role which endpoints there are, the preferred one first:

```toml
[roles]
strong = ["main", "spare"]      # must be there; cheap and judge are like it unless they are
cheap = ["small", "spare"]

[endpoints.main]
model = "large-1"               # at OPENAI_BASE_URL, with OPENAI_API_KEY
requests_per_minute = 500       # else WAGGLE_MODEL_REQUESTS_PER_MINUTE
tokens_per_minute = 200_000     # else WAGGLE_MODEL_TOKENS_PER_MINUTE
price = [1.25, 10.0]            # US dollars per million tokens of prompt and reply; else WAGGLE_MODEL_PRICES

[endpoints.small]
model = "small-1"

[endpoints.spare]
model = "llama-3.3-70b"
base_url = "http://10.0.0.5:8000/v1"    # its key: WAGGLE_MODEL_KEYS=spare=…
price = [0, 0]
```

What a provider says in words of its own is in the error of the run, cut and without secrets. `quota_exhausted`,
`context_length`, `refusal` and `content_filter` are asked once of each endpoint that may do better and are final;
`model_garbled` (no JSON, no choices, cut off, nested without end) is final after three tries.

The next endpoint of a role is asked when one fails (5xx, connection, timeout, an answer that cannot be read), refuses
the key or the model (401, 403, 404), has said `Retry-After`, or is out of its limits for more than a second. A
stalling endpoint has half of the time that is left. What answers though it was not preferred is told in the step's
caveats, the log, and `waggle_model_fallbacks_total`. All replicas together keep to the limits, to `Retry-After` (ten
minutes at most) and to the circuit breaker: five failures in a row, and an endpoint is asked nothing for five
seconds, then one request at a time until one works. When no endpoint may be asked a call waits, as long as its step
has time. Limits count over any 60 seconds; a prompt's tokens are estimated before and corrected after, so replies can
go over the limit of tokens for a moment.

What a provider says of usage is believed if it can be true ([budgets](budgets.md#usage)). An answer is read up to 4 MB
(embeddings: 64 MB), redirects are not followed.
"""


def page() -> str:
    """The whole page."""
    return _HEAD + "".join(_row(name, field) for name, field in Settings.model_fields.items()) + _TAIL


def _row(name: str, field: FieldInfo) -> str:
    return f"| `{variable(name, field)}` | {_default(field)} | {field.description} |\n"


def _default(field: FieldInfo) -> str:
    value: Any = field.get_default(call_default_factory=True, validated_data={})
    if hasattr(value, "get_secret_value"):
        value = value.get_secret_value()
    return "none" if value in (None, (), {}, PydanticUndefined) else f"`{value}`"


def main() -> None:
    """Write the page; with --check only say whether it is up to date."""
    write_or_check({PAGE: page()}, "infra.reference")


if __name__ == "__main__":
    main()
