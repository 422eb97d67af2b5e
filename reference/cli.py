"""The command line's reference: the list of commands in docs/cli.md, and every option in docs/cli-reference.md."""

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from reference.blocks import replaced, table
from services.cli.app import COMMANDS, load

PROGRAM = "waggle"
LIST = Path("docs/cli.md")
PAGE = Path("docs/cli-reference.md")
_HEAD = """\
# Command line reference

Generated from the commands' own help. [Command line](cli.md) explains them by task, with exit codes and JSON output.
"""


def pages() -> dict[Path, str]:
    """The pages by their paths."""
    commands = {path: each for name in COMMANDS for path, each in _commands(load(name), f"{PROGRAM} {name}")}
    rows = ((f"[`{path}`](cli-reference.md#{_anchor(path)})", _summary(each)) for path, each in commands.items())
    listed = replaced(LIST.read_text(), "commands", table(("command", "does"), rows))
    return {LIST: listed, PAGE: _HEAD + "".join(_section(path, each) for path, each in commands.items())}


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield every command by its full name, deprecated and hidden ones excepted, and groups that work by themselves.

    `Any`: typer vendors click, and its classes are private.
    """
    inner = getattr(command, "commands", {})
    if not inner or command.invoke_without_command:
        yield path, command
    for name, each in inner.items():
        if not each.hidden and not each.deprecated:
            yield from _commands(each, f"{path} {name}")


def _section(path: str, command: Any) -> str:
    shown = sorted((each for each in command.params if not each.hidden), key=lambda each: each.param_type_name)
    arguments = [_argument(each) for each in shown if each.param_type_name == "argument"]
    usage = " ".join([path, *arguments, *(["[OPTIONS]"] if len(arguments) < len(shown) else [])])
    options = table(("argument or option", "default", "meaning"), map(_row, shown)) if shown else ""
    return f"\n## {path}\n\n{_text(command.help)}\n\n```\n{usage}\n```\n\n{options}".rstrip() + "\n"


def _argument(each: Any) -> str:
    name = each.metavar or each.name.upper()
    return name if each.required or name.startswith("[") else f"[{name}]"


def _row(each: Any) -> tuple[str, str, str]:
    if each.param_type_name == "argument":
        return f"`{_argument(each)}`", "required" if each.required else "", _text(each.help)
    value = f" {each.metavar or each.name.upper()}" if not each.is_flag else ""
    return f"`{', '.join([*each.opts, *each.secondary_opts])}{value}`", _default(each), _meaning(each)


def _meaning(each: Any) -> str:
    """Return the help of an option, with its choices unless the help lists them itself."""
    kind = each.type_descriptor.annotation
    choices = kind if isinstance(kind, type) and issubclass(kind, Enum) else ()
    listed = f" One of {', '.join(f'`{choice.value}`' for choice in choices)}." if choices and not each.metavar else ""
    return _text(each.help) + listed


def _default(each: Any) -> str:
    if each.required:
        return "required"
    if each.secondary_opts:
        return f"`{(each.opts if each.default else each.secondary_opts)[0]}`"
    return "" if callable(each.default) or each.default in (None, False, "", ()) else f"`{each.default}`"


def _summary(command: Any) -> str:
    return _text(command.help).partition(". ")[0].rstrip(".")


def _text(text: str | None) -> str:
    return " ".join((text or "").replace("\f", " ").split())


def _anchor(path: str) -> str:
    return path.replace(" ", "-")
