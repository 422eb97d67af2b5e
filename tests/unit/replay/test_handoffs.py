"""Handoffs replayed from their journal: nothing is called, and every verdict is decided again."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.event import AnswerIgnored
from schemas.step import HandoffFailed, HelpAsked
from shared.agent.actions.effects import Effects
from shared.config import Settings, settings_of
from shared.replay import Outcome
from shared.replay.changes import ChangeReplay
from shared.replay.handoffs import Replayer, recorded_handoffs
from shared.replay.tape import RecordedJournal
from tests.support.replaying import played, replayed
from waggle import Agent, Context, Effect, Findings, Risk, Step, TerminalError, ToolContext, tool
from waggle.testing import AgentHarness, Scripted, calls

FOUND = {"answer": "Three.", "facts": [], "sources": [], "confidence": 0.9, "caveats": []}
OBJECTIVE = "Send ada@example.org a greeting."
called: list[str] = []


@tool(risk=Risk.LOW, effect=Effect.READ)
async def look(key: str) -> str:
    """Look something up."""
    called.append(key)
    return f"{key} is there"


@tool(risk=Risk.LOW, effect=Effect.READ, local=True)
async def keep(text: str, *, call: ToolContext) -> str:
    """Keep a text as a file."""
    called.append(text)
    return (await call.workspace.save("kept.txt", text.encode(), "text/plain")).name


@tool(risk=Risk.HIGH, effect=Effect.IRREVERSIBLE, asked_by=frozenset({"send"}), destinations=("to",))
async def send(to: str) -> str:
    """Send a greeting."""
    called.append(to)
    return "sent"


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    called.clear()
    (tmp_path / "instructions.md").write_text("Work.")
    made = Agent("worker", description="d", instructions=tmp_path / "instructions.md", tools=[look, keep, send])

    @made.handles
    async def work(step: Step, ctx: Context) -> Findings:
        if step.attempt > 1:
            raise TerminalError("as planned", code="planned")
        first = await ctx.call("look", key="first")
        assert first == "first is there"
        return await ctx.think(step.objective, result=Findings)

    return made


TURNS = [calls("look", key="second") & calls("keep", text="words"), calls("send", to="ada@example.org"), FOUND]


async def recorded(agent: Agent, turns=TURNS, until: int | None = None, objective=OBJECTIVE, **step):
    async with AgentHarness(agent, model=Scripted(turns)) as harness:
        handoff = harness.handoff(Step, objective, **{"step_id": "step", **step})
        return handoff, *await played(harness, handoff, until)


def ended_at_once(handoff) -> AnswerIgnored:
    about = {"run_id": handoff.run_id, "tenant": handoff.tenant, "at": datetime.now(UTC), "by": handoff.agent}
    return AnswerIgnored.model_validate(about | {"handoff_id": handoff.id, "reason": ""})


async def test_a_replay_gives_the_recorded_answer_and_calls_no_tool(agent):
    handoff, entries, answer = await recorded(agent)
    assert called == ["first", "second", "words", "ada@example.org"]
    called.clear()
    found = await replayed(agent, handoff, entries, answer)
    assert (found.outcome, list(found.differences), called) == (Outcome.SAME, [], [])
    assert len(found.turns) == 3
    assert found.verdicts == len(answer.judged) == 8


async def test_a_stricter_gate_is_noticed_at_the_call_that_it_would_stop(agent, tmp_path):
    handoff, entries, answer = await recorded(agent)
    gate = tmp_path / "gate.toml"
    gate.write_text('[tools.send]\nrisk = "critical"\n')
    found = await replayed(agent, handoff, entries, answer, WAGGLE_GATE=str(gate))
    assert found.outcome is Outcome.DIFFERS
    first = found.differences[0]
    assert (first.what, first.where, first.recorded[2], first.replayed[2]) == (
        "verdict",
        "think-1/turn-2/call-1",
        "allow",
        "ask",
    )
    assert called.count("ada@example.org") == 1


async def test_a_changed_tool_result_is_noticed_in_the_next_prompt(agent):
    handoff, entries, answer = await recorded(agent)
    forged = [
        each._replace(entry=each.entry.replace("second is there", "nothing is there"))
        if each.name == "think-1/turn-1/call-1"
        else each
        for each in entries
    ]
    found = await replayed(agent, handoff, forged, answer)
    assert found.outcome is Outcome.DIFFERS
    assert {each.what for each in found.differences} == {"prompt"}
    assert found.differences[0].where.startswith("think-1/turn-2")


async def test_a_call_missing_from_the_journal_stops_the_replay(agent):
    handoff, entries, answer = await recorded(agent)
    left = [each for each in entries if each.name != "think-1/turn-2/call-1"]
    left = [each for each in left if not each.name.endswith("/intent")]
    called.clear()
    found = await replayed(agent, handoff, left, answer)
    assert (found.outcome, found.why) == (Outcome.UNKNOWN, "think-1/turn-2/call-1 is not in the journal")
    assert called == []


@pytest.mark.parametrize("entries_left", range(1, 9))
async def test_work_that_was_interrupted_is_replayed_as_far_as_its_record_goes(agent, entries_left):
    handoff, entries, _ = await recorded(agent, until=entries_left)
    called.clear()
    found = await replayed(agent, handoff, entries, None)
    assert (found.outcome, called) == (Outcome.SAME, [])


async def test_a_failure_of_the_handler_is_replayed(agent):
    handoff, entries, answer = await recorded(agent, turns=[], attempt=2)
    assert (await replayed(agent, handoff, entries, answer)).outcome is Outcome.SAME


async def test_a_failure_of_the_model_is_taken_from_the_recorded_answer(agent):
    failing = [calls("look", key="second"), TerminalError("the model is broken", code="model_refused")]
    handoff, entries, answer = await recorded(agent, turns=failing)
    assert answer.error.code == "model_refused"
    found = await replayed(agent, handoff, entries, answer)
    assert (found.outcome, len(found.turns)) == (Outcome.SAME, 1)


async def test_a_failure_from_outside_is_unknown_even_if_the_handler_would_have_failed_by_itself(agent):
    handoff, entries, answer = await recorded(agent, turns=[], attempt=2)
    outside = answer.model_copy(update={"error": answer.error.model_copy(update={"code": "unwanted"})})
    found = await replayed(agent, handoff, entries, outside)
    assert (found.outcome, list(found.differences)) == (Outcome.UNKNOWN, [])
    assert "from outside" in found.why


async def test_a_failure_from_outside_may_have_come_before_every_recorded_call(agent):
    handoff, entries, answer = await recorded(agent)
    about = answer.model_dump(include={"id", "run_id", "tenant", "agent", "handoff_id", "token"})
    error = {"code": "unwanted", "message": "the run does not await this handoff"}
    found = await replayed(agent, handoff, entries, HandoffFailed.model_validate(about | {"error": error}))
    assert (found.outcome, list(found.differences)) == (Outcome.UNKNOWN, [])


async def test_a_failure_whose_contents_the_record_does_not_state_is_unknown(agent):
    handoff, entries, answer = await recorded(agent)
    failed = answer.judged[-1].model_copy(update={"name": HandoffFailed.wire_type()})
    ended = answer.model_copy(update={"judged": [*answer.judged[:-1], failed], "effected": []})
    found = await replayed(agent, handoff, entries, ended, whole=False)
    assert (found.outcome, list(found.differences)) == (Outcome.UNKNOWN, [])


async def test_an_answer_may_list_its_acting_calls_in_any_order(agent):
    twice = [calls("send", to="ada@example.org") & calls("send", to="bob@example.org"), FOUND]
    objective = "Send ada@example.org and bob@example.org a greeting."
    handoff, entries, answer = await recorded(agent, twice, objective=objective)
    assert len(answer.effected) == 2
    other = answer.model_copy(update={"effected": answer.effected[::-1]})
    assert (await replayed(agent, handoff, entries, other)).outcome is Outcome.SAME
    other = answer.model_copy(update={"effected": answer.effected[:1]})
    assert (await replayed(agent, handoff, entries, other)).outcome is Outcome.DIFFERS


async def test_acting_calls_are_recalled_in_the_order_they_were_made(agent):
    twice = [calls("send", to="ada@example.org") & calls("send", to="bob@example.org"), FOUND]
    objective = "Send ada@example.org and bob@example.org a greeting."
    handoff, entries, answer = await recorded(agent, twice, objective=objective)
    journal = RecordedJournal({})
    for each in reversed(entries):
        journal.add(each.name, each.entry, each.of)
    effects = Effects(handoff)
    effects.recall(journal)
    assert [each.place for each in effects.made] == [each.place for each in answer.effected]


async def test_an_outcome_that_a_try_asked_for_was_not_in_its_journal_though_it_is_in_the_log(agent):
    handoff, entries, answer = await recorded(agent)
    call = next(each.name for each in entries if each.name.endswith("turn-2/call-1"))
    about = answer.model_dump(include={"id", "run_id", "tenant", "agent", "handoff_id", "token"})
    asked = HelpAsked.model_validate(about | {"question": "Has it happened?", "call": call})
    change = ChangeReplay(1, Outcome.SAME, "topic", [ended_at_once(handoff)], None, asked)
    works = {handoff.idempotency_key: entries}
    [found] = recorded_handoffs([change], works, {handoff.id: [handoff]})
    assert [each.name for each in entries if each not in found.attempt.own] == [call]
    replay = await Replayer({agent.name: agent}, settings_of({}, Settings)).best(found)
    assert replay.handoff == handoff
    assert not [each for each in replay.differences if each.where == call]
