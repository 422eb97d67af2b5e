"""The house rules that no linter knows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra.new_agent.__main__ import list_in_architecture, make
from reference.__main__ import pages

ROOT = Path(__file__).parents[2]
SERVICES = sorted(p.parent for p in (ROOT / "services").glob("*/__main__.py"))
AGENTS = sorted(p.parent for p in (ROOT / "services").glob("*/agent.py"))


@pytest.mark.parametrize("folder", SERVICES, ids=lambda p: p.name)
def test_every_service_folder_says_what_it_is_in_thirty_lines(folder):
    readme = (folder / "README.md").read_text()
    assert len(readme.splitlines()) <= 30
    assert (folder / "__init__.py").read_text() == ""


@pytest.mark.parametrize("folder", AGENTS, ids=lambda p: p.name)
def test_every_agent_folder_is_complete_and_its_readme_names_its_tools(folder):
    module = __import__(f"services.{folder.name}.agent", fromlist=["agent"])
    readme = (folder / "README.md").read_text()
    assert (folder / "instructions.md").read_text().strip()
    assert module.agent.name == folder.name
    assert module.agent.handler is not None
    assert all(f"`{tool.name}`" in readme for tool in module.agent.tools)


GENERATED = pages()


@pytest.mark.parametrize("page", GENERATED, ids=str)
def test_a_generated_page_is_up_to_date(page):
    assert (ROOT / page).read_text() == GENERATED[page], "run python -m reference"


def test_the_architecture_page_has_a_paragraph_for_every_room():
    page = (ROOT / "ARCHITECTURE.md").read_text()
    folders = [
        path.parent for layer in ("shared", "services", "infra") for path in (ROOT / layer).glob("*/__init__.py")
    ]
    assert [room for room in (str(path.relative_to(ROOT)) for path in folders) if f"`{room}`" not in page] == []


def test_a_new_agent_gets_its_place_on_the_architecture_page(tmp_path):
    page = tmp_path / "ARCHITECTURE.md"
    page.write_text((ROOT / "ARCHITECTURE.md").read_text())
    list_in_architecture("translator", tmp_path)
    assert "**`services/translator`**: specialists." in page.read_text()
    assert "**`services/communication`**,\n" in page.read_text()


DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "services").rglob("README.md")]


def sections(page):
    """The fragments that lead to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "]", each).lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file_and_a_section(document):
    for path, fragment in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", document.read_text()):
        target = document.parent / path if path else document
        assert target.exists(), f"no {path}"
        assert not fragment or target.suffix != ".md" or fragment in sections(target), f"{path} has no #{fragment}"


def test_the_lock_names_no_index():
    assert not re.search(r"https?://|--index|--find-links", (ROOT / "requirements.lock").read_text())


@pytest.fixture
def scaffold(tmp_path):
    """A new agent in a folder of its own, with the environment that finds it before this clone's services."""
    make("translator", tmp_path)
    (tmp_path / "services" / "__init__.py").touch()
    paths = f"{tmp_path}{os.pathsep}{ROOT}"
    return tmp_path, os.environ | {"PYTHONPATH": paths, "MYPYPATH": paths}


def run(scaffold, *command):
    folder, environment = scaffold
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_new_agent_passes_its_own_test(scaffold):
    tests = ["tests/unit/test_translator_agent.py", "-q", "-p", "no:cacheprovider"]
    ran = run(scaffold, sys.executable, "-m", "pytest", *tests, "-o", "asyncio_mode=auto", "--rootdir", ".")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_test_of_a_new_agent_survives_that_its_sample_tool_is_replaced(scaffold):
    agent = scaffold[0] / "services" / "translator" / "agent.py"
    agent.write_text(agent.read_text().replace("count_words", "look_up"))
    test_a_new_agent_passes_its_own_test(scaffold)


def test_the_linter_and_the_type_checker_find_nothing_in_a_new_agent(scaffold):
    sources = f"src = {[str(scaffold[0]), str(ROOT)]}"
    options = ["--config", ROOT / "pyproject.toml", "--config", sources]
    linted = run(scaffold, sys.executable, "-m", "ruff", "check", *options, "services", "tests")
    assert linted.returncode == 0, linted.stdout
    checked = typed(scaffold)
    assert checked.returncode == 0, checked.stdout


def test_the_type_checker_knows_the_parameters_of_a_tool(scaffold):
    agent = scaffold[0] / "services" / "translator" / "agent.py"
    agent.write_text(f"{agent.read_text()}\n\nasync def wrong() -> str:\n    return await count_words(3)\n")
    checked = typed(scaffold)
    assert 'has incompatible type "int"; expected "str"' in checked.stdout
    assert 'Incompatible return value type (got "int", expected "str")' in checked.stdout


def typed(scaffold):
    """mypy, as strict as here, on the new agent and its test."""
    options = ["--config-file", ROOT / "pyproject.toml", "--cache-dir", ROOT / ".mypy_cache" / "scaffold"]
    return run(scaffold, sys.executable, "-m", "mypy", *options, "-p", "services.translator")


@pytest.mark.parametrize("name", ["", "Upper", "with-dash", "../x", "1st", "a" * 60])
def test_a_bad_agent_name_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match="no agent name"):
        make(name, tmp_path)


def test_an_agent_that_exists_is_not_overwritten(tmp_path):
    make("translator", tmp_path)
    with pytest.raises(ValueError, match="already"):
        make("translator", tmp_path)
