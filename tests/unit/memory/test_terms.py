"""Terms are the same in a memory and in a query, in any script."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.memory.query import MOST_QUERY_TERMS, read_query
from shared.memory.terms import LONGEST_TERM, MOST_TERMS, impacts, query_terms, stem, terms


@given(st.text(max_size=500))
@example("a" * 5_000)
@example("\x00\ud800 =x= y")
@example("'’'’'")
def test_any_text_has_terms_that_can_be_stored(text):
    found = impacts(text)
    assert len(found) <= MOST_TERMS
    assert all(1 <= impact <= 220 for impact in found.values())
    assert all(term and len(term) <= LONGEST_TERM and not set(term) & set(" ='’_") for term in found)
    assert len(read_query(text).terms) <= MOST_QUERY_TERMS


@given(st.text(max_size=200))
def test_a_memory_is_found_by_its_own_text(text):
    assert set(query_terms(text)) <= set(terms(text))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("paintings", "painted"),
        ("Café", "cafe"),
        ("STRASSE", "straße"),
        ("stories", "story"),
        ("running", "runs"),
        ("she's", "she’s"),
        ("ﬁle", "file"),
        ("ｆｕｌｌ", "full"),
    ],
)
def test_words_of_one_meaning_share_a_term(one, other):
    assert terms(one) == terms(other)


@pytest.mark.parametrize(("kept", "apart"), [("bus", "bu"), ("paris", "pari"), ("Київ", "киев")])
def test_words_of_different_meanings_do_not(kept, apart):
    assert terms(kept) != terms(apart)


@pytest.mark.parametrize(
    ("content", "query"),
    [
        ("会议改到星期三下午", "星期三"),
        ("明日は東京で会議があります", "東京の会議"),
        ("회의는 수요일에 있습니다", "수요일"),
        ("การประชุมวันพุธ", "วันพุธ"),
        ("встреча перенесена на среду", "среду"),
    ],
)
def test_a_script_without_spaces_is_found_by_a_part(content, query):
    assert set(query_terms(query)) & set(terms(content))


def test_a_text_of_stop_words_alone_keeps_them():
    assert terms("To be or not to be") == ["to", "be", "or", "not", "to", "be"]
    assert terms("the orders") == terms("order")


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz", max_size=30))
def test_a_stem_is_a_short_form_of_its_word(word):
    assert len(stem(word)) <= len(word)
    assert bool(stem(word)) == bool(word)
