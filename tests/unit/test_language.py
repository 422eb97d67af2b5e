"""The language of the house: plain English, the field's own terms, log events that can be grepped, tests as sentences.

One folder or page: `python -m pytest tests/unit/test_language.py -k shared/bus`.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

WORDS = {
    r"(?:is|are|was|were|be|being|been|stays?|still) away(?! from)": "unavailable",
    r"anew|afresh": "a verb in re-: retry, recreate, restart",
    r"told(?! apart)|tells?(?! (?:\w+ )?apart)": "report, notify, log, record, say",
    r"shall": "must, should, will",
    r"whoever|whomever|nobody|somebody|anybody|everybody": "caller, operator, tenant, user, worker, none, any",
    r"whatever": "any, anything",
    r"dear": "expensive",
    r"mend(?:s|ed|ing)?": "fix, repair",
    r"begun(?!`)": "started",
    r"(?:go|goes|went|gone|going) on(?! to\b)": "resume, continue",
    r"(?:stand|stands|stood|standing) on": "depend on; dependency",
    r"(?:try|tries|tried|trying) again": "retry",
    r"but for": "except",
    r"beside": "next to, alongside, besides",
    r"reckon(?:s|ed|ing)?": "count, compute",
    r"untold": "default, unset",
    r"at need": "if needed",
}
"""Words this house does not write, and what it writes instead."""

OPENINGS = r"(?:What|Whether|Who|Whose|Whom|Whoever|Whatever|How|Where|Which|Nobody|Somebody|That which)\b"
"""Openings that no docstring has: it begins with an imperative verb or a noun phrase."""

_WORDS = {re.compile(rf"(?<![\w.`-])(?:{words})(?![\w-])", re.IGNORECASE): use for words, use in WORDS.items()}
_EVENT = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_CODE_SPAN = re.compile(r"`[^`]*`")
_ALTERNATIVES = re.compile(r"\w\|\w")
_LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}
_LOGGERS = {"log", "_log", "logger", "_logger"}
_KEYS = {"why": "reason", "endpoint": "dependency", "run_id": "run", "step_id": "step", "who": "by"}
"""Keys of log lines that have another name in this house."""


def _rooms() -> Iterator[tuple[str, tuple[Path, ...]]]:
    yield "schemas", tuple(sorted((ROOT / "schemas").rglob("*.py")))
    for layer in ("shared", "services", "infra"):
        yield layer, tuple(sorted((ROOT / layer).glob("*.py")))
        for room in sorted(path for path in (ROOT / layer).iterdir() if (path / "__init__.py").exists()):
            yield f"{layer}/{room.name}", (*sorted(room.rglob("*.py")), *sorted(room.glob("README.md")))
    yield "reference", tuple(sorted((ROOT / "reference").glob("*.py")))
    yield "waggle", tuple(sorted(ROOT.glob("waggle*.py"))) + tuple(sorted(ROOT.glob("waggle/**/*.py")))
    for page in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))):
        if page.name in _GENERATED:
            continue
        yield str(page.relative_to(ROOT)), (page,)
    yield "docs/adr", tuple(sorted((ROOT / "docs" / "adr").glob("*.md")))
    yield "deployment", (*(ROOT / name for name in _DEPLOYMENT), *sorted((ROOT / "k8s").rglob("*.yaml")))


_DEPLOYMENT = ("docker-compose.yml", "Makefile", ".env.example", "infra/topics.toml", "infra/prometheus/alerts.yml")
_GENERATED = {"cli-reference.md", "configuration.md", "http-api.md", "metrics.md", "schemas.md", "states.md"}
"""Pages made of texts that are checked in the code."""

ROOMS = dict(_rooms())


def faults_in(path: Path) -> list[str]:
    """The places of one file that are not in the language of the house, with what to write instead."""
    text = path.read_text()
    found = [*_code_faults(text)] if path.suffix == ".py" else [*_page_faults(path, text)]
    return [f"{path.relative_to(ROOT)}:{line}: {fault}" for line, fault in sorted(set(found))]


def _page_faults(path: Path, text: str) -> Iterator[tuple[int, str]]:
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        fenced ^= path.suffix == ".md" and line.lstrip().startswith("```")
        if not fenced:
            yield from _word_faults(number, _CODE_SPAN.sub("`…`", line))


def _code_faults(text: str) -> Iterator[tuple[int, str]]:
    tree = ast.parse(text)
    standing = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    data = {id(node) for node in _word_lists(tree)} - standing
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in data:
            yield from _string_faults(node, standing=id(node) in standing)
        elif isinstance(node, ast.keyword) and node.arg in {"description", "help"}:
            yield from _opening_faults(node.value)
        elif isinstance(node, ast.Call):
            yield from _event_faults(node)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield from _word_faults(token.start[0], token.string)


def _word_lists(tree: ast.AST) -> Iterator[ast.expr]:
    """Texts that are data, since they must match what others write: `"…".split()`, and alternatives such as `a|b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "split":
            yield node.value
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _ALTERNATIVES.search(node.value):
            yield node


def _string_faults(node: ast.Constant, *, standing: bool) -> Iterator[tuple[int, str]]:
    if standing:
        yield from _opening_faults(node)
    if " " in str(node.value).strip():
        for offset, line in enumerate(str(node.value).splitlines()):
            yield from _word_faults(node.lineno + offset, line)


def _opening_faults(node: ast.expr) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.match(rf"\s*{OPENINGS}", node.value):
        opening = node.value.strip().splitlines()[0][:60]
        yield node.lineno, f"'{opening}…': begin with an imperative verb or a noun phrase"


def _event_faults(call: ast.Call) -> Iterator[tuple[int, str]]:
    function = call.func
    if not (isinstance(function, ast.Attribute) and function.attr in _LEVELS and call.args):
        return
    if isinstance(function.value, ast.Name) and function.value.id in _LOGGERS:
        for event in _events(call.args[0]):
            if not _EVENT.fullmatch(event):
                yield call.lineno, f"log event '{event}': a snake_case key, the rest in fields"
        for keyword in call.keywords:
            if keyword.arg in _KEYS:
                yield call.lineno, f"log key '{keyword.arg}': write {_KEYS[keyword.arg]}"


def _events(argument: ast.expr) -> Iterator[str]:
    if isinstance(argument, ast.IfExp):
        yield from (*_events(argument.body), *_events(argument.orelse))
    elif isinstance(argument, ast.Constant):
        yield str(argument.value)
    elif isinstance(argument, ast.JoinedStr):
        yield ast.unparse(argument)


def _word_faults(number: int, line: str) -> Iterator[tuple[int, str]]:
    for pattern, use in _WORDS.items():
        for match in pattern.finditer(line):
            yield number, f"'{match[0]}': write {use}"


def _test_faults(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield from _name_faults(node.lineno, node.name)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield from _string_faults(node.value, standing=True)


def _name_faults(number: int, name: str) -> Iterator[tuple[int, str]]:
    sentence = name.removeprefix("test_").replace("_", " ")
    yield from _word_faults(number, sentence)
    if re.match(OPENINGS, sentence, re.IGNORECASE):
        yield number, f"'{sentence[:60]}…': begin with the subject of the sentence"


@cache
def faults_of(room: str) -> list[str]:
    """The faults of all files of a room."""
    return [fault for path in ROOMS[room] for fault in faults_in(path)]


@pytest.mark.parametrize("room", ROOMS)
def test_the_language_is_plain_in(room):
    faults = faults_of(room)
    assert not faults, "\n" + "\n".join(faults)


@pytest.mark.parametrize("folder", sorted(path.name for path in (ROOT / "tests").iterdir() if path.is_dir()))
def test_names_and_docstrings_of_tests_are_plain_in(folder):
    faults = [
        f"{path.relative_to(ROOT)}:{line}: {fault}"
        for path in sorted((ROOT / "tests" / folder).rglob("*.py"))
        for line, fault in _test_faults(ast.parse(path.read_text()))
    ]
    assert not faults, "\n" + "\n".join(faults)


@pytest.mark.parametrize("name", ["test_what_is_read_is_kept", "test_a_redis_that_is_away_is_waited_for"])
def test_a_fault_in_the_name_of_a_test_is_found(name):
    assert [*_name_faults(1, name)]


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ('"""What a run costs."""', "imperative verb"),
        ('x = Field(description="Whether it is open")', "imperative verb"),
        ('raise Failed(f"Redis is away: {x}")', "unavailable"),
        ("pass  # nobody knows", "caller"),
        ('log.info("tried again later", x=1)', "snake_case"),
        ('log.info("open" if x else "is shut")', "snake_case"),
        ('log.info(f"run {x}")', "snake_case"),
        ('log.info("run_refused", why=x)', "reason"),
        ('"""Set the table.\n\nIt shall hold.\n"""', "must"),
    ],
)
def test_a_fault_is_found_with_its_remedy(code, fault):
    assert fault in " ".join(remedy for _, remedy in _code_faults(code))


@pytest.mark.parametrize(
    "code",
    [
        '"""Return the run.\n\nWhat fails is retried right away.\n"""',
        'log.warning("retry_scheduled", attempt=2)',
        'event = "waggle.generation-begun"',
        '"""Names the event `waggle.generation-begun` and moves away from it."""',
        '"""Can be told apart by id."""',
        'ORDERS = "tell the user|inform the user"',
        'STOP = "shall she tell".split()',
    ],
)
def test_plain_english_raises_no_alarm(code):
    assert not [*_code_faults(code)]
