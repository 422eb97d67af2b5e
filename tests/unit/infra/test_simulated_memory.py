"""The memory agent of the simulated model: it quotes what the request holds, and nothing else."""

import json
from datetime import UTC, datetime

from infra.simulated_model.free import free_reply
from infra.simulated_model.situation import read
from infra.simulated_model.wire import ChatRequest
from schemas.memory import Source
from schemas.memory_log import PersonWords, TurnNoted
from shared.memory.facts import found_in, judge, request_of

AT = datetime(2026, 3, 1, tzinfo=UTC)


def turn(asked: str, answer: str = "", *said: str, number: int = 1) -> TurnNoted:
    words = [PersonWords(by="ada", words=each) for each in said]
    source = Source(topic="runs.log", offset=number)
    about = {"tenant": "acme", "run_id": f"run-{number}", "started": AT, "ended": AT.replace(day=number)}
    return TurnNoted(**about, source=source, asked=asked, said=words, answer=answer)


def told(turns, known=()) -> str:
    request = ChatRequest(model="simulated", messages=request_of(turns, known))
    return free_reply(read(request), None).content or ""


def test_it_quotes_statements_of_people_and_answers():
    turns = [turn("Find a hotel. I prefer quiet rooms.", "Oslo has 3 stations. Done.", "Our budget is 500 euros.")]
    assert [each.quote for each in found_in(told(turns))] == [
        "I prefer quiet rooms.",
        "Our budget is 500 euros.",
        "Oslo has 3 stations.",
    ]
    assert not judge(found_in(told(turns)), turns).refused


def test_it_finds_nothing_in_requests_and_questions():
    assert json.loads(told([turn("Count the orders. Is Berlin the place?", "")])) == {"facts": []}


def test_it_names_the_known_fact_that_a_new_one_replaces():
    [(known, _)] = judge(found_in(told([turn("My office is in Berlin.")])), [turn("My office is in Berlin.")]).facts
    [found] = found_in(told([turn("My office is in Oslo.", number=2)], [known]))
    assert found.replaces == 1
    [again] = found_in(told([turn("My office is in Berlin.", number=2)], [known]))
    assert again.replaces is None
