"""`python -m infra.reference [--check]`: writes docs/configuration.md from the settings."""

from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from infra.generated import write_or_check
from shared.settings import Settings, variable

PAGE = Path("docs/configuration.md")
_HEAD = """\
# Configuration

Every service reads the same environment variables, once, at start. Lists are comma-separated, mappings are
`key=value` pairs. Traces go to where the standard `OTEL_EXPORTER_OTLP_ENDPOINT` says; unset, they go nowhere.

| variable | default | meaning |
|---|---|---|
"""


def page() -> str:
    """The whole page."""
    return _HEAD + "".join(_row(name, field) for name, field in Settings.model_fields.items())


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
