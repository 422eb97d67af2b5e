"""Every `waggle` command in a code block of the documentation exists and takes its options."""

import re
import shlex
from itertools import takewhile
from pathlib import Path

import pytest

from services.cli.app import COMMANDS, load

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"```(?:console|bash|sh)\n(.*?)```", re.DOTALL)
CALL = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*(?:printf .*\| )?(?:\.venv/bin/)?waggle ([a-z].*)")
ENDS = {"|", "<", ">", ";", "&&"}


def calls_of(page: Path) -> list[list[str]]:
    """Return the words after `waggle` of each command in the page's code blocks."""
    lines = "\n".join(BLOCK.findall(page.read_text())).replace("\\\n", " ").splitlines()
    return [_words(found[1]) for line in lines if (found := CALL.search(line))]


def _words(rest: str) -> list[str]:
    lexer = shlex.shlex(rest, posix=True, punctuation_chars="|<>;&")
    lexer.whitespace_split, lexer.commenters = True, "#"
    return list(takewhile(lambda word: word not in ENDS, lexer))


def options_of(words: list[str]) -> tuple[set[str], list[str]]:
    """Return the options that the command takes, and the words that look like options."""
    command = load(words[0])
    rest = words[1:]
    while rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]
    taken = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    return taken | {"--help", "-h"}, [word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_command_of_the_documentation_exists_and_takes_its_options(page):
    for words in calls_of(page):
        assert words[0] in COMMANDS, words
        taken, used = options_of(words)
        assert set(used) <= taken, words


def test_the_pages_have_commands_to_check():
    assert sum(len(calls_of(page)) for page in PAGES) > 60
