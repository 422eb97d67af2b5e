"""Ranking is pure: the same candidates have the same order, in any order of arrival."""

import math
import random
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.memory.candidates import ENTRIES, essential, matches
from shared.memory.candidates import candidate as found_in
from shared.memory.marks import marks
from shared.memory.query import read_query
from shared.memory.ranking import RRF, fuse, rank, rarity
from shared.memory.selection import distinct, estimated_tokens, similar, within
from shared.memory.terms import impacts, stored_terms, terms_of
from tests.support.memories import NOW


def candidate(content, number=0, *, days=1.0, subject="", session="s", importance=0.5, similarity=0.0):
    row = {
        "id": UUID(int=number),
        "session": session,
        "position": number,
        "subject": subject,
        "created": NOW - timedelta(days=days),
        "importance": importance,
        "marks": marks(content),
        "terms": stored_terms(impacts(content)),
    }
    return replace(found_in(row, (), ("text",)), similarity=similarity)


def order(question, candidates, *, vectors=False):
    query = read_query(question)
    known = [replace(each, matches=matches(each.terms, query.terms)) for each in candidates]
    ranked = rank(query, dict.fromkeys(query.terms, 3.0), known, NOW, vectors=vectors)
    return [each.candidate.position for each in ranked]


def test_the_answer_after_a_question_is_found_by_the_words_of_the_question():
    turns = ["where was the violin bought?", "in a small shop by the river", "the weather was fine", "we met at noon"]
    assert set(order("where was the violin bought", [candidate(t, n) for n, t in enumerate(turns)])[:2]) == {0, 1}


def test_neighbours_of_another_session_give_no_context():
    alone = [candidate("violin", 0), candidate("a shop", 1, session="t"), candidate("a shop", 9, session="u")]
    assert order("violin", alone)[0] == 0
    known = [replace(each, matches=matches(each.terms, ["violin"])) for each in alone]
    scored = rank(read_query("violin"), {"violin": 3.0}, known, NOW, vectors=False)
    others = {each.candidate.position: each.score for each in scored}
    assert others[1] == others[9]


@pytest.mark.parametrize(
    ("question", "better", "worse"),
    [
        ("What did Ada buy?", {"subject": "Ada"}, {"subject": "Grace"}),
        ("what was bought", {"importance": 1.0}, {"importance": 0.0}),
        ("what was bought", {"days": 1.0}, {"days": 400.0}),
        ("what was bought on 29 November 2026", {"days": 1.0}, {"days": 40.0}),
    ],
)
def test_a_feature_decides_between_equal_texts(question, better, worse):
    two = [
        candidate("a violin was bought", 0, session="a", **worse),
        candidate("a violin was bought", 1, session="b", **better),
    ]
    assert order(question, two) == [1, 0]


def test_meaning_decides_where_no_word_is_common():
    two = [
        candidate("the fiddle", 0, session="a", similarity=0.1),
        candidate("an orange", 1, session="b", similarity=0.9),
    ]
    assert order("violin", two, vectors=True) == [1, 0]


@given(st.lists(st.tuples(st.text(max_size=40), st.integers(0, 9)), max_size=30), st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_the_order_of_candidates(contents, chance: random.Random):
    found = [candidate(text, number, session=str(session)) for number, (text, session) in enumerate(contents)]
    shuffled = chance.sample(found, len(found))
    assert order("a b c", found) == order("a b c", shuffled)


def test_a_list_that_agrees_lifts_an_id_and_the_sum_is_that_of_reciprocal_ranks():
    assert fuse([["a", "b"], ["c", "b"]]) == ["b", "a", "c"]
    assert 2 / (RRF + 2) > 1 / (RRF + 1)


@given(st.floats(0, 1e6), st.floats(0, 1e7))
def test_rarity_is_never_negative_and_never_infinite(documents, containing):
    assert 0 <= rarity(documents, containing) < math.inf


@given(st.dictionaries(st.text(max_size=4), st.floats(1, 1e6), max_size=10))
def test_the_rarest_terms_are_read_within_the_limit_and_never_none(counts):
    read = essential(counts)
    assert bool(read) == bool(counts)
    if read != sorted(counts, key=lambda term: (counts[term], term)):
        assert sum(counts[term] for term in read) <= ENTRIES


def test_of_near_duplicates_the_better_is_kept():
    text = "the quarterly report of the northern region was mailed to finance by the clerk on Monday morning"
    same = [candidate(text, 0), candidate(text + " again", 1), candidate("something else entirely", 2)]
    ranked = rank(read_query("report"), {"report": 3.0}, same, NOW, vectors=False)
    kept = distinct(ranked, 10)
    assert kept[0] == ranked[0]
    assert len(kept) == 2


def test_short_texts_are_duplicates_only_if_equal():
    assert similar(set(impacts("yes please")), set(impacts("please, yes")))
    assert not similar(set(impacts("order 41")), set(impacts("order 42")))


def test_a_recall_fits_the_tokens():
    assert estimated_tokens("x" * 9) == 3
    assert within(["x" * 40, "x" * 40, "x"], 20) == 2
    assert within(["x" * 400], 20) == 0


@given(st.text(max_size=80), st.text(max_size=40))
def test_the_matches_of_a_row_are_those_of_all_its_terms(content, query):
    every = impacts(content)
    wanted = read_query(query + content[:20]).terms
    assert terms_of(stored_terms(every)) == every
    assert matches(stored_terms(every), wanted) == {term: every[term] for term in wanted if term in every}
