"""Briefs within their share: relevance decides, and nothing binding is ever shortened."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.step import StepOutput
from shared.llm import Estimate
from shared.packing import Calibration, pack_brief
from shared.packing.brief import READ, written
from shared.packing.relevance import scores
from shared.packing.shares import WORKING

COUNT = Estimate().count


def step(name: str, answer: str) -> dict:
    facts = [{"name": f"fact {n}", "value": "v" * 30} for n in range(20)]
    output = {"answer": answer, "facts": facts, "sources": [], "confidence": 0.8, "caveats": ["one"]}
    return {"origin": "agent:data", "step_id": name, "agent": "data", "objective": "count", "output": output}


def brief(*answers: str, text: str = "", data: dict | None = None, done: int = 0) -> dict:
    calls = [{"origin": "tool:pay", "tool": "pay", "number": n, "arguments": "a" * 200} for n in range(done)]
    return {
        "objective": "How many pumps are in the depot of Ulm?",
        "constraints": ["never guess"],
        "feedback": ["be exact"],
        "context": {"origin": "task:context", "text": text, "data": data or {}},
        "files": [],
        "earlier_steps": [step(f"s{n}", answer) for n, answer in enumerate(answers)],
        "already_done": calls,
    }


def test_a_brief_that_fits_is_not_touched():
    whole = brief("one", text="two")
    assert pack_brief(whole, WORKING, 100_000, COUNT).brief is whole


def test_the_relevant_step_is_whole_and_the_others_are_named_or_shortened():
    filler = "Notes about the weather in spring. " * 150
    whole = brief(filler, "The depot of Ulm has 12 pumps. " + filler, filler, filler)
    packed = pack_brief(whole, WORKING, 3_800, COUNT)
    steps = packed.brief["earlier_steps"]
    assert [each["step_id"] for each in steps] == ["s0", "s1", "s2", "s3"]
    assert steps[1] == whole["earlier_steps"][1]
    assert READ in steps[0]["output"]["left_out"]
    assert set(packed.left_out) == {"earlier_steps/1-s0", "earlier_steps/3-s2", "earlier_steps/4-s3"}
    assert json.loads(packed.left_out["earlier_steps/1-s0"]) == whole["earlier_steps"][0]
    assert all(StepOutput.model_validate(each) for each in steps)


def test_of_a_long_context_the_paragraphs_about_the_objective_stay():
    pages = [f"Page {n} is about the menu of the canteen. " * 12 for n in range(40)]
    pages[23] = "The depot of Ulm keeps 12 pumps."
    data = {f"field{n}": "z" * 400 for n in range(20)} | {"pumps": "twelve"}
    whole = brief(text="\n\n".join(pages), data=data)
    packed = pack_brief(whole, WORKING, 2_000, COUNT)
    context = packed.brief["context"]
    assert pages[23] in context["text"]
    assert "[…]" in context["text"]
    assert context["data"]["pumps"] == "twelve"
    assert packed.left_out["context/text"] == whole["context"]["text"]


def test_of_a_long_session_the_latest_turns_stay_whole():
    turns = [{"origin": f"conversation:r{n}", "asked": f"question {n}", "answer": "word " * 400} for n in range(8)]
    whole = brief("one") | {"conversation": {"turns": turns, "earlier_objectives": ["zero"]}}
    packed = pack_brief(whole, WORKING, 2_600, COUNT)
    shown = packed.brief["conversation"]["turns"]
    assert [each["asked"] for each in shown] == [f"question {n}" for n in range(8)]
    kept = [each for each in shown if "answer" in each]
    assert kept == turns[-len(kept) :]
    assert 0 < len(kept) < 8
    assert json.loads(packed.left_out["conversation/turns/1"]) == turns[0]
    assert packed.brief["conversation"]["earlier_objectives"] == ["zero"]


def test_facts_of_older_turns_take_a_third_of_the_conversation_at_most_the_relevant_ones():
    facts = [{"origin": f"conversation:r{n}", "said": f"the depot of town {n} " * 20} for n in range(30)]
    facts[3]["said"] = "The pumps of Ulm are twelve."
    turns = [{"origin": "conversation:r40", "asked": "question", "answer": "short"}]
    whole = brief("one") | {"objective": "How many pumps has Ulm?", "conversation": {"turns": turns, "facts": facts}}
    packed = pack_brief(whole, WORKING, 2_600, COUNT)
    kept = packed.brief["conversation"]["facts"]
    assert facts[3] in kept
    assert kept == [each for each in facts if each in kept]
    assert len(kept) < 30
    assert json.loads(packed.left_out["conversation/facts"]) == facts
    assert packed.brief["conversation"]["turns"] == turns


sizes = st.integers(0, 400).map(lambda size: "some words of a text. " * size)


@settings(max_examples=40, deadline=None)
@given(st.lists(sizes, max_size=6), sizes, st.integers(0, 40), st.integers(300, 6_000))
def test_a_brief_is_as_small_as_it_can_be_and_binding_parts_are_whole(answers, text, done, room):
    whole = brief(*answers, text=text, done=done)
    packed = pack_brief(whole, WORKING, room, COUNT).brief
    least = pack_brief(whole, WORKING, 0, COUNT).brief
    assert COUNT(written(packed)) <= max(room, COUNT(written(least)), 1)
    assert {name: packed[name] for name in ("objective", "constraints", "feedback", "files")} == {
        name: whole[name] for name in ("objective", "constraints", "feedback", "files")
    }
    assert list(packed)[: len(whole)] == list(whole)
    assert len(packed["already_done"]) + packed.get("already_done_not_shown", 0) == done
    assert pack_brief(packed, WORKING, max(room, COUNT(written(packed))), COUNT).brief == packed


def test_relevance_prefers_rare_words_in_common_and_then_the_latest():
    ranked = scores("pumps of Ulm", ["weather", "the pump of ulm", "weather"])
    assert ranked[1] > ranked[2] > ranked[0]


def test_a_report_corrects_the_count_within_bounds():
    counted = Calibration(estimated=True)
    assert counted.factor(["a"]) == 1.25
    counted.learn("a", 1_000, 2_000)
    assert 2 < counted.factor(["a"]) < 2.2
    assert counted.factor(["b"]) == 1.25
    counted.learn("b", 1_000, 1)
    assert counted.factor(["b"]) == 0.8
    counted.learn("c", 1, 1_000_000)
    assert counted.factor(["c"]) == 4.0
    exact = Calibration(estimated=False)
    exact.learn("a", 1_000, 100)
    assert exact.factor(["a"]) == 1.0
