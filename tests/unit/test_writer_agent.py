"""The writer agent with a scripted model: its conflicts and sources are those of the steps."""

import json

import pytest

from schemas.conflict import Conflict, Position
from schemas.plan import Plan, PlannedStep
from services.writer.agent import agent
from services.writer.checks import LONGEST_ANSWER, checked, synthesis_of
from shared.errors import TerminalError
from waggle import Source, Synthesis, WriteAnswer
from waggle.testing import AgentHarness, Output, Scripted, StepOutput

PLAN = Plan(steps=[PlannedStep(id=id, objective=id, agent="data") for id in ("left", "right")])
BOOK = Source(title="Book", uri="book.md")


def output(step_id: str, answer: str, *sources: Source) -> StepOutput:
    return StepOutput(
        step_id=step_id, agent="data", objective=step_id, output=Output(answer=answer, sources=list(sources))
    )


INPUTS = [output("left", "The price is 4.", BOOK), output("right", "The price is 5.")]


def conflict(*steps: str, **facts) -> Conflict:
    sides = [Position(step_id=each, says=f"{each} says so") for each in steps]
    told = {"subject": "price", "resolved": False, "resolution": "ask the shop", "reason": "two lists"} | facts
    return Conflict(positions=sides, **told)


def synthesis(answer: str = "It costs 4 or 5.", **facts) -> Synthesis:
    told = {"facts": [], "sources": [], "confidence": 0.8, "caveats": [], "conflicts": []} | facts
    return Synthesis(answer=answer, **told)


async def written(*replies: Synthesis) -> tuple[Synthesis, list]:
    async with AgentHarness(agent, model=Scripted(list(replies))) as harness:
        asked = harness.handoff(WriteAnswer, "What does it cost?", inputs=INPUTS, plan=PLAN)
        return await harness.handle(asked), harness.model.chats


async def test_an_answer_has_its_conflicts_as_data_and_in_words():
    found, chats = await written(synthesis(conflicts=[conflict("left", "right")]))
    assert found.conflicts == [conflict("left", "right")]
    text, section = found.answer.split("## Where the steps disagree")
    assert text.strip() == "It costs 4 or 5."
    assert "price: step `left` says: left says so; step `right` says: right says so. Open: ask the shop" in section
    brief = json.loads(chats[0][1]["content"])
    assert [each["step_id"] for each in brief["earlier_steps"]] == ["left", "right"]
    assert brief["plan"]["steps"][0]["id"] == "left"


async def test_an_answer_without_conflicts_gets_no_section():
    found, _ = await written(synthesis("It costs 4."))
    assert found.answer == "It costs 4."


@pytest.mark.parametrize(
    ("steps", "problem"),
    [(("left", "middle"), "step `middle`, which does not exist"), (("left", "left"), "two different steps")],
)
async def test_a_conflict_that_is_not_between_the_steps_is_sent_back_to_the_model(steps, problem):
    found, chats = await written(synthesis(conflicts=[conflict(*steps)]), synthesis("corrected"))
    assert found.answer == "corrected"
    sent_back = chats[1][-1]["content"]
    assert problem in sent_back
    assert "The steps are: left, right" in sent_back


async def test_a_model_that_keeps_inventing_steps_fails():
    wrong = synthesis(conflicts=[conflict("left", "middle")])
    with pytest.raises(TerminalError, match="middle") as failed:
        await written(wrong, wrong, wrong)
    assert failed.value.code == "invalid_reply"


async def test_a_source_that_no_step_gave_is_removed_with_a_caveat_and_costs_confidence():
    invented = Source(title="Web", uri="https://example.org/prices")
    found, _ = await written(synthesis(sources=[Source(title="Book", uri="book.md#page=3"), invented]))
    assert [each.uri for each in found.sources] == ["book.md#page=3"]
    assert found.confidence == 0.4
    assert found.caveats == ["removed from the sources, because no step gave them: https://example.org/prices"]


async def test_a_secret_in_the_answer_is_taken_out_with_a_caveat():
    token = "ghp_" + "a1B2c3D4e5F6" * 3
    found, _ = await written(synthesis(f"Use {token}.", conflicts=[conflict("left", "right", reason=token)]))
    assert token not in found.model_dump_json()
    assert any("guardrail" in each for each in found.caveats)


def test_the_longest_answer_and_the_most_conflicts_fit_their_schema():
    many = [conflict("left", "right", subject="s" * 300, resolution="r" * 1_000) for _ in range(30)]
    long = checked(synthesis("x" * LONGEST_ANSWER, conflicts=many), INPUTS)
    assert Synthesis.model_validate(long.model_dump()).answer.endswith("r" * 10)


def test_a_conflict_is_one_line_of_text_for_any_words_of_the_model():
    hostile = conflict("left", "right", subject="a\n\n# heading", reason="b\n- c")
    section = checked(synthesis(conflicts=[hostile]), INPUTS).answer.rpartition("disagree\n\n")[2]
    assert section.count("\n") == 0


def test_the_type_that_the_model_must_fill_keeps_its_name_and_its_schema():
    made = synthesis_of(INPUTS)
    assert made.__name__ == "Synthesis"
    assert made.model_json_schema() == Synthesis.model_json_schema()
