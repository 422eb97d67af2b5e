"""The house rules that no linter knows."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra.new_agent.__main__ import make
from infra.reference import PAGE, page

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


def test_the_configuration_page_is_what_the_settings_say():
    assert (ROOT / PAGE).read_text() == page()


def test_every_relative_link_in_the_documentation_leads_somewhere():
    for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_the_lock_names_no_index():
    assert not re.search(r"https?://|--index|--find-links", (ROOT / "requirements.lock").read_text())


def test_a_new_agent_passes_its_own_test_and_the_type_checker_finds_nothing(tmp_path):
    made = make("translator", tmp_path)
    (tmp_path / "services" / "__init__.py").touch()
    agent = next(path for path in made if path.name == "agent.py")
    test = next(path for path in made if path.name.startswith("test_"))
    probe = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import services; import pytest; "
    probe += f"sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', '--rootdir', {str(tmp_path)!r}, "
    probe += f"'-o', 'asyncio_mode=auto', {str(test)!r}]))"
    ran = subprocess.run([sys.executable, "-c", probe], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    checked = subprocess.run([Path(sys.executable).with_name("ruff"), "check", "--isolated", agent], check=False)
    assert checked.returncode == 0


@pytest.mark.parametrize("name", ["", "Upper", "with-dash", "../x", "1st", "a" * 60])
def test_a_bad_agent_name_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match="no agent name"):
        make(name, tmp_path)


def test_an_agent_that_exists_is_not_overwritten(tmp_path):
    make("translator", tmp_path)
    with pytest.raises(ValueError, match="already"):
        make("translator", tmp_path)
