"""Rules of packing, for any conversation: what stays, what belongs together, and that it fits."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.llm import Estimate
from shared.packing import Digest, Prompt, Summary, TooLong, assemble, summary_message
from shared.packing.prompt import KEPT_TURNS, tokens_of
from shared.packing.record import Sent, summary_name, turn_name
from tests.support.long_model import assert_paired

COUNT = Estimate().count
OPENING = [{"role": "system", "content": "You are. " * 20}, {"role": "user", "content": '{"objective": "count"}' * 5}]

texts = st.integers(0, 6_000).map(lambda size: "word " * (size // 5))
calls = st.lists(texts, min_size=0, max_size=4)
turns = st.lists(st.tuples(calls, st.booleans()), min_size=1, max_size=14)


def turn_of(number: int, answers: list[str], hint: bool) -> list[dict]:
    """Messages of one turn: calls with their answers and perhaps a hint, or an answer with a correction."""
    hints = [{"role": "user", "content": f"hint {number}"}] if hint or not answers else []
    if not answers:
        return [{"role": "assistant", "content": f"answer {number}"}, *hints]
    requests = [
        {
            "id": f"c{n}",
            "type": "function",
            "function": {"name": "look", "arguments": json.dumps({"at": f"{number}.{n}"})},
        }
        for n in range(len(answers))
    ]
    found = [
        {"role": "tool", "tool_call_id": f"c{n}", "content": json.dumps({"origin": "page:x", "result": text})}
        for n, text in enumerate(answers)
    ]
    return [{"role": "assistant", "content": None, "tool_calls": requests}, *found, *hints]


class Journal(dict):
    """Entries that a packer would have written."""


def packed(prompt: Prompt, limit: int, journal: Journal) -> list[dict]:
    """Pack as the runtime does, with a summary of fixed content; record it."""
    made = 0
    if prompt.tokens > limit:
        if (span := prompt.turns_to_summarise(limit)) is not None:
            made += 1
            add(prompt, Summary(summary_name("t", prompt.turn, made), *span, 1, {}, Digest()), journal)
        while group := prompt.summaries_to_join(limit):
            made += 1
            level = max(each.level for each in group) + 1
            place = summary_name("t", prompt.turn, made)
            add(prompt, Summary(place, group[0].first, group[-1].last, level, {}, Digest()), journal)
        if prompt.tokens > prompt.much(limit):
            prompt.shorten(limit)
    sent = prompt.record(tokens=prompt.tokens)
    journal[turn_name("t", prompt.turn)] = {"added": prompt.additions[-1], "sent": sent.model_dump(mode="json")}
    return prompt.messages


def add(prompt: Prompt, summary: Summary, journal: Journal) -> None:
    message = summary_message(Digest(facts=["a fact"]), summary.turns, "m")
    summary = summary._replace(message=message)
    journal[summary.place] = {"message": message, "covers": [summary.first, summary.last], "by": "m"}
    prompt.replace(summary)


@settings(max_examples=60, deadline=None)
@given(turns, st.integers(700, 4_000))
def test_every_prompt_keeps_the_rules_and_can_be_made_again_from_its_journal(conversation, limit):
    prompt, journal = Prompt(COUNT), Journal()
    added = OPENING
    for number, (answers, hint) in enumerate(conversation, 1):
        prompt.additions.append(added)
        try:
            messages = packed(prompt, limit, journal)
        except TooLong:
            assert smallest(prompt) > limit * 0.5  # what always stays is what does not fit
            return
        assert prompt.tokens <= limit
        assert messages[:2] == OPENING
        assert_paired(messages)
        assert_in_order(prompt, messages)
        assert json.dumps(assemble(journal, "t", number)) == json.dumps(messages)
        again = restored(prompt, journal, number)
        assert again.messages == messages
        assert again.tokens == prompt.tokens
        added = turn_of(number, answers, hint)


def smallest(prompt: Prompt) -> int:
    """Tokens of what always stays, as short as it gets."""
    prompt.shorten(10**9)
    return prompt.tokens


def restored(prompt: Prompt, journal: Journal, turn: int) -> Prompt:
    """A prompt that replays the journal up to a turn."""
    again = Prompt(COUNT)
    known = {each.place: each for each in prompt.summaries}
    for number in range(1, turn + 1):
        entry = journal[turn_name("t", number)]
        again.additions.append(entry["added"])
        if number == turn:
            forms = [journal[turn_name("t", each)]["sent"]["made"] for each in range(1, turn)]
            for maker, made in enumerate(forms, 1):
                for key, message in made.items():
                    place, _, position = key.partition("/")
                    again.put((int(place), int(position)), message, maker)
            again.restore(Sent.model_validate(entry["sent"]), known, turn)
    return again


def assert_in_order(prompt: Prompt, messages: list[dict]) -> None:
    """The latest turns are there, in their order, and no other message is between them and the summaries."""
    said = [message for each in prompt.additions[1:][-KEPT_TURNS:] for message in each]
    shown = messages[len(messages) - len(said) :]
    assert [(each["role"], each.get("tool_call_id")) for each in shown] == [
        (each["role"], each.get("tool_call_id")) for each in said
    ]
    covered = [(each.first, each.last) for each in prompt.summaries]
    numbers = [number for first, last in covered for number in range(first, last + 1)]
    assert numbers == list(range(2, prompt.first))


def test_packing_what_fits_changes_nothing():
    prompt, journal = Prompt(COUNT, additions=[OPENING, turn_of(1, ["a"], hint=True)]), Journal()
    whole = [*OPENING, *turn_of(1, ["a"], hint=True)]
    assert packed(prompt, 100_000, journal) == whole
    assert Sent.model_validate(journal["t/turn-2"]["sent"]).is_whole
    assert packed(prompt, 100_000, journal) == whole


def test_no_message_is_counted_twice():
    counted = []
    prompt = Prompt(lambda text: counted.append(text) or COUNT(text))
    for number in range(1, 60):
        prompt.additions.append(turn_of(number, ["a b c"], hint=False) if number > 1 else OPENING)
        assert prompt.tokens > 0
    once = sum(len(list(texts_of(message))) for each in prompt.additions for message in each)
    assert len(counted) == once


def texts_of(message):
    counted = []
    tokens_of(message, lambda text: counted.append(text) or 1)
    return counted


def test_an_entry_of_an_earlier_version_was_sent_whole():
    entries = {"t/turn-1": {"added": OPENING}, "t/turn-2": {"added": turn_of(1, ["a"], hint=False)}}
    assert assemble(entries, "t", 2) == [*OPENING, *turn_of(1, ["a"], hint=False)]
