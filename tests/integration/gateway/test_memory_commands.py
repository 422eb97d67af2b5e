"""`waggle memory` in front of a real gateway, with a real Postgres, Redis and broker."""

import asyncio
import json
import re

import pytest
from typer.testing import CliRunner

from schemas.memory import MemoryKind
from services.cli.app import app
from services.cli.exit_codes import Exit
from tests.support.memories import memory
from tests.support.remembering import emptied, remembering

pytestmark = pytest.mark.broker

ESCAPES = "\x1b[31mred\x1b[0m \u202egnp.exe"
FACT = {"kind": MemoryKind.SEMANTIC, "tenant": "default"}
ADA = memory("Ada prefers reports by mail", 1, subject="Ada", run="run-a", session="trip", **FACT)
CLAIM = memory(f"Ada's bank is Evil {ESCAPES}", 2, subject="Ada", taint=["page:evil.example"], days=2, **FACT)


@pytest.fixture
async def waggle(gateway, settings, sentinel, parts):
    """`waggle memory …`, with the service that fills the store."""
    store = await emptied(parts["WAGGLE_POSTGRES"])

    async def run(*arguments: str, input: str = ""):
        command = ["memory", *arguments, "--gateway", str(gateway.base_url)]
        return await asyncio.to_thread(CliRunner().invoke, app, command, input)

    async with remembering(settings, sentinel):
        run.store = store
        yield run
    await store.close()


@pytest.fixture
async def filled(waggle):
    await waggle.store.put("default", [ADA, CLAIM])
    return waggle


@pytest.fixture
def attended(monkeypatch):
    monkeypatch.setattr("services.cli.forgetting.is_attended", lambda: True)


async def test_an_empty_list_says_what_fills_it_and_a_filter_that_nothing_matches_says_so(waggle):
    assert "Nothing is remembered yet" in (await waggle("list")).output
    await waggle.store.put("default", [ADA])
    assert "No memory matches" in (await waggle("list", "--subject", "Bo")).output


async def test_memories_are_listed_by_filters_as_safe_text_or_json(filled):
    listed = await filled("list")
    assert (listed.exit_code, ADA.id in listed.output, CLAIM.id in listed.output) == (0, True, True)
    assert "\x1b[31m" not in listed.output
    assert "\u202e" not in listed.output
    candidates = json.loads((await filled("list", "--candidates", "--json")).stdout)
    assert [each["memory"]["id"] for each in candidates["memories"]] == [CLAIM.id]
    assert "candidate, untrusted" in (await filled("list", "--text", "bank")).output


async def test_a_memory_is_shown_with_its_sources_and_what_to_do(filled):
    shown = (await filled("show", CLAIM.id)).output
    for words in ("runs.log/0/2", "page:evil.example", "importance: 0.50", f"waggle memory confirm {CLAIM.id}"):
        assert words in shown
    unknown = await filled("show", "0" * 32)
    assert (unknown.exit_code, "waggle memory list" in unknown.output) == (Exit.NOT_FOUND, True)


async def test_a_search_shows_what_is_recalled_with_its_reasons(filled):
    found = (await filled("search", "what does Ada prefer?")).output
    assert ADA.content in found
    assert "is about Ada" in found
    assert "Evil" not in found
    assert "never recalled" in (await filled("search", "xylophone")).output


async def test_a_correction_says_how_to_undo_it_and_is_undone_by_that(filled):
    done = await filled("correct", ADA.id, "Ada prefers calls", "--reason", "she said so", "--by", "bob")
    assert (done.exit_code, "version 2" in done.output) == (0, True)
    assert f"waggle memory correct {ADA.id} 'Ada prefers reports by mail'" in done.output
    [now] = await filled.store.get("default", [ADA.id])
    assert (now.content, now.changes[0].by) == ("Ada prefers calls", "bob")
    refused = await filled("correct", ADA.id, "Ada prefers fax", "--version", "1")
    assert (refused.exit_code, "version 2" in refused.output) == (Exit.USAGE, True)
    await filled("correct", ADA.id, ADA.content)
    assert (await filled.store.get("default", [ADA.id]))[0].content == ADA.content
    assert (await filled("correct", ADA.id)).exit_code == Exit.USAGE


async def test_a_memory_is_pinned_unpinned_and_confirmed(filled):
    for verb, words in (("pin", "Pinned"), ("pin", "Nothing to change"), ("unpin", "Unpinned"), ("confirm", "It says")):
        done = await filled(verb, CLAIM.id)
        assert (done.exit_code, words in done.output) == (0, True), done.output
    [now] = await filled.store.get("default", [CLAIM.id])
    assert (now.candidate, now.taint, now.version) == (False, [], 4)


async def test_one_memory_is_forgotten_once_a_person_has_seen_and_confirmed_it(filled, attended):
    refused = await filled("forget", ADA.id, "--reason", "wrong", input="n\n")
    assert (refused.exit_code, ADA.content in refused.output) == (Exit.USAGE, True)
    assert len(await filled.store.get("default", [ADA.id])) == 1
    done = await filled("forget", ADA.id, "--reason", "wrong", input="y\n")
    assert (done.exit_code, "cannot be undone" in done.output) == (0, True)
    assert await filled.store.get("default", [ADA.id]) == []


async def test_a_selection_is_shown_and_asked_about_and_then_forgotten(filled, attended):
    dry = await filled("forget", "--subject", "Ada", "--reason", "she asked", "--dry-run")
    assert "2 memories (1 of them candidates)" in dry.output
    refused = await filled("forget", "--subject", "Ada", "--reason", "she asked", input="n\n")
    assert (refused.exit_code, "cannot be undone" in refused.output) == (Exit.USAGE, True)
    assert len(await filled.store.get("default", [ADA.id, CLAIM.id])) == 2
    assert "Nothing was ordered" in (await filled("forgettings", "--tenant", "nobody")).output
    done = await filled("forget", "--subject", "Ada", "--reason", "she asked", "--by", "bob", input="y\n")
    assert done.exit_code == 0
    report = re.search(r"waggle memory forgettings (\S+)", done.output)[1]
    listed = await filled("forgettings")
    assert (report in listed.output, "subject sha256:" in listed.output) == (True, True)
    assert "by bob" in (await filled("forgettings", report)).output
    assert await filled.store.get("default", [ADA.id, CLAIM.id]) == []


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--subject", "Ada", "--run", "run-a"),
        (ADA.id, "--subject", "Ada"),
        ("--subject", "Ada"),
        ("--subject", "Ada", "--yes"),
        ("--subject", "Ada", "--yes", "--expect", "1"),
        ("--subject", "Ada", "--json"),
    ],
)
async def test_a_forget_without_a_person_a_selection_or_the_expected_number_does_nothing(filled, arguments):
    refused = await filled("forget", "--reason", "asked", *arguments)
    assert refused.exit_code == Exit.USAGE
    assert len(await filled.store.get("default", [ADA.id, CLAIM.id])) == 2


async def test_a_script_forgets_with_yes_and_the_expected_number(filled):
    done = await filled("forget", "--everything", "--reason", "over", "--yes", "--expect", "2", "--json")
    assert json.loads(done.stdout)["in_effect"] is True
    assert await filled.store.get("default", [ADA.id, CLAIM.id]) == []
