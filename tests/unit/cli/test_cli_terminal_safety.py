"""Text of models and strangers cannot control the terminal, whichever way it is printed."""

import ast
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

from services.cli.terminal import Screen

CLI = Path(__file__).parents[3] / "services" / "cli"

PRINTS = {"print", "Console", "typer.echo", "sys.stdout.write"}

HOSTILE = "a\x1b[2J\x1b]0;owned\x07\x1b]52;c;c2VjcmV0\x07b\x9b31mc\u202ed\re"


def table(text):
    made = Table(text)
    made.add_row(text)
    return made


@pytest.mark.parametrize(
    "show",
    [
        lambda screen: screen.say(HOSTILE),
        lambda screen: screen.say(HOSTILE, style="bold"),
        lambda screen: screen.say(Text(HOSTILE, style="red")),
        lambda screen: screen.say(table(HOSTILE)),
        lambda screen: screen.complain(HOSTILE, HOSTILE),
        lambda screen: screen.note(HOSTILE),
        lambda screen: screen.answer({}, HOSTILE),
        lambda screen: screen.document({"answer": HOSTILE}),
        lambda screen: screen.busy(HOSTILE),
    ],
    ids=["say", "styled", "text", "table", "complain", "note", "answer", "document", "busy"],
)
def test_printed_text_has_no_escape_sequence_and_no_direction_override(show, capsys):
    show(Screen())
    printed = "".join(capsys.readouterr())
    assert "a" in printed
    assert not set(printed) & set("\x1b\x07\x9b\u202e\r")


def test_only_the_terminal_module_prints():
    """Exceptions: texts of our own before a command is imported, and a traceback that is cleaned there."""
    allowed = {"terminal.py", "app.py", "errors.py"}
    printing = {
        path.name
        for path in CLI.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in PRINTS
    }
    assert printing == allowed
