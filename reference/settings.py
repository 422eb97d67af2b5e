"""docs/configuration.md: every setting, common and of one service, from the typed settings."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from infra.variables import own_settings, variables_of
from shared.config import Settings

PAGE = Path("docs/configuration.md")
_HEAD = """\
# Configuration

Every service reads the same environment variables, once, at start; [some](#of-one-service) are read by one or
two services only. Lists are comma-separated, mappings are `key=value` pairs. Whitespace around a value is dropped, as
files and secrets often end in it; a line break or another control character inside one is refused at start, with the
variable's name. Traces are exported to the standard `OTEL_EXPORTER_OTLP_ENDPOINT`; unset, they are not exported.
`HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` apply, but no proxy is used for addresses on this machine.

A service refuses to start with a wrong variable, or with a policy file (`WAGGLE_GATE`, `WAGGLE_GUARDRAILS`,
`WAGGLE_TENANTS`, `WAGGLE_KEYS`) that it cannot use, and names every problem. `python -m infra.topics` and `waggle
rebuild` read no policy and depend on none, so that a wrong rule does not keep a lost Redis from being rebuilt;
`waggle doctor` checks all of them.

| variable | default | meaning |
|---|---|---|
"""

_OWN = """
## Of one service

| service | variable | default | meaning |
|---|---|---|---|
"""

_TAIL = """
## Several models

Without `WAGGLE_MODELS` the strong, the cheap, the judge and the embedding model are all at `OPENAI_BASE_URL`. The
file it names lists the endpoints of each role, in order of preference:

```toml
[roles]
strong = ["main", "spare"]      # required; default of cheap and judge
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
context_window = 32_768         # tokens; else WAGGLE_MODEL_WINDOWS, else WAGGLE_CONTEXT_WINDOW
tokenizer = "/models/llama-3.3/tokenizer.json"  # else WAGGLE_MODEL_TOKENIZERS, else tokens are estimated
```

The provider's own message is in the run's error, truncated and without secrets. `quota_exhausted`,
`refusal` and `content_filter` are tried once on each alternative endpoint and are then final; `context_length` is, too,
after one more try with a [smaller prompt](#context-windows);
`model_garbled` (no JSON, no choices, cut off, nested without end) is final after three tries.

The next endpoint of a role is asked when one fails (5xx, connection, timeout, an answer that cannot be read), refuses
the key or the model (401, 403, 404), sends `Retry-After`, or is out of its limits for more than a second. A
stalling endpoint gets half of the remaining time. Fallback answers are reported in the step's caveats, the log, and
`waggle_model_fallbacks_total`. All replicas share the limits, `Retry-After` (ten minutes at most) and the circuit
breaker: after five consecutive failures an endpoint gets no request for five seconds, then one at a time until one
succeeds. If no endpoint is available, a call waits as long as its step has time. Limits count over any 60 seconds; a
prompt's tokens are estimated before and corrected after, so replies can exceed the limit of tokens for a moment.

## Context windows

A prompt with its tools takes at most 60 % of the context of the smallest model of its role; the rest is for the
answer. What does not fit is [packed](write-an-agent.md#long-conversations). `waggle doctor` says for each model how
large its context is and how its tokens are counted:

| tokens | when |
|---|---|
| counted | the role's endpoints share one `tokenizer.json`; it needs the extra `tokenizers`, and no network |
| estimated | otherwise: a quarter of the characters, more for other alphabets; marked wherever it is shown |

Both are corrected by the prompt tokens that the endpoint has reported for the last three prompts of the conversation,
an estimate never to less than four fifths. An endpoint that refuses a prompt as too long gets one of half the size, or
of 60 % of the context that its message names; if it refuses that, too, the step fails with `context_length`.

A provider's usage figures are used if plausible ([budgets](budgets.md#usage)). An answer is read up to 4 MB
(embeddings: 64 MB), redirects are not followed.
"""


def pages() -> dict[Path, str]:
    """The page by its path."""
    common = variables_of(Settings)
    rows = "".join(f"| `{name}` | {_default(field)} | {field.description} |\n" for name, field in common.items())
    return {PAGE: _HEAD + rows + _OWN + "".join(_own_rows(common)) + _TAIL}


def _own_rows(common: Collection[str]) -> Iterator[str]:
    """Yield a row for each variable that is not common, with all services that read it."""
    fields: dict[str, FieldInfo] = {}
    readers: defaultdict[str, list[str]] = defaultdict(list)
    for service, kinds in own_settings().items():
        own = {name: field for kind in kinds for name, field in variables_of(kind).items() if name not in common}
        fields |= own
        for name in own:
            readers[name].append(f"`{service}`")
    for name, field in fields.items():
        yield f"| {', '.join(readers[name])} | `{name}` | {_default(field)} | {field.description} |\n"


def _default(field: FieldInfo) -> str:
    value: Any = field.get_default(call_default_factory=True, validated_data={})
    if hasattr(value, "get_secret_value"):
        value = value.get_secret_value()
    return "none" if value in (None, (), {}, PydanticUndefined) else f"`{value}`"
