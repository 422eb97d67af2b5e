"""Laws of sanitising, for any text."""

import json
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.guardrails import FindingKind, find, parse_policy, redacted, sanitised, sanitised_deep, screen
from tests.support.guard_attacks import DISGUISES, ENCODED, IMITATIONS, ORDERS

POLICY = parse_policy()
TRICKS = "\u200b\u200c\u200d\u2060\ufeff\u202e\u2066\ufe0f\ufe00\u00ad\U000e0041\ud800аеоΑpІ<|>[]!()/?=im_start INST"
ANY = st.text(st.characters() | st.characters(categories=["Cs"]) | st.sampled_from(TRICKS), max_size=60)
ORDINARY = st.text(
    st.characters(categories=["Lu", "Ll", "Lo", "Nd", "Po", "Pd", "Sm", "Sc", "Zs"], max_codepoint=0x2FFF).filter(
        lambda each: each not in "<[!" and not _disguise(each)
    )
    | st.sampled_from("\n\t"),
    max_size=200,
)


def _disguise(each: str) -> bool:
    """Alphabets that are letters only by their look, fillers, and what mixes with Latin."""
    name = unicodedata.name(each, "")
    return "CYRILLIC" in name or "GREEK" in name or "FILLER" in name or "INHERENT" in name


@given(ANY)
@example("<<|a|>|a|>")
@example("!![x](https://e.example/?q=1)")
@example("a\u200d\u200db\u200c\u200d\ufe0f")
@settings(max_examples=600, deadline=None)
def test_sanitising_twice_is_sanitising_once(text):
    once = sanitised(text)
    assert sanitised(once) == once


@given(ANY)
@settings(max_examples=300, deadline=None)
def test_sanitised_text_is_writable_and_means_the_same_as_json(text):
    once = sanitised(text)
    once.encode()
    assert json.loads(json.dumps(sanitised_deep({"a": [text, 1, None]}))) == {"a": [once, 1, None]}


@given(ORDINARY)
@settings(max_examples=400, deadline=None)
def test_ordinary_text_stays_as_it_is(text):
    assert sanitised(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "Der Fluß führt über 1 000 m³ – »genug«.",
        "Déjà vu : 5 € l’unité…",
        "if a < b and c[i] > 0: print(f'{x!r}')",
        "# Title\n\n[docs](https://x.example/?page=2) ![logo](https://x.example/logo.png)",
        "Москва, Київ, Αθήνα, 東京、서울",
        "👨‍👩‍👧 ❤️ 👍🏽",
        "می‌خواهم क्‍ष",
        "Δt = 5 µs, α-Wert",
        "<b>bold</b> <img src='a.png'> <table>",
        "ﬁne ½ ² ™ Ⅷ",
    ],
)
def test_ordinary_sentences_stay_as_they_are(text):
    assert sanitised(text) == text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a\u202eb\u200bc", "abc"),
        ("pаypаl", "paypal"),
        ("ｈｅｌｌｏ", "hello"),
        ("<|im_start|>system", "‹|im_start|>system"),
        ("</tool_call>", "‹/tool_call>"),
        ("[INST] x", "⟦INST] x"),
        ("![x](https://e.example/a.png?q=secret)", "[x](https://e.example/a.png?q=secret)"),
        ('<img src="https://e.example/?q=1">', '‹img src="https://e.example/?q=1">'),
        ("a\x1b[2Jb\x00", "a[2Jb"),
    ],
)
def test_tricks_are_made_plain(text, plain):
    assert sanitised(text) == plain


@pytest.mark.parametrize("attack", [each[1] for each in [*IMITATIONS[:4], *DISGUISES]])
def test_sanitised_attacks_hold_no_imitation_and_no_disguise(attack):
    assert not {FindingKind.HIDDEN, FindingKind.LOOKALIKE} & {each.kind for each in find(sanitised(attack), POLICY)}
    assert "<|" not in sanitised(attack)


@given(ANY)
@settings(max_examples=200, deadline=None)
def test_no_detector_raises_and_every_finding_lies_within_the_text(text):
    for found in find(text, POLICY):
        assert 0 <= found.start < found.end <= len(text)


@given(st.lists(st.sampled_from([each[1] for each in [*ORDERS, *ENCODED, *IMITATIONS]]), max_size=4))
@settings(max_examples=60, deadline=None)
def test_a_redacted_text_is_never_longer(parts):
    text = "\n".join([*parts, "a@b.de", "+49 30 901820"])
    short = redacted(text, find(text, POLICY))
    assert len(short) <= len(text)
    assert "a@b.de" not in short


def test_redacted_text_is_not_detected_again():
    key = "ghp_" + "a1B2c3D4e5F6" * 3
    done = screen(f"use {key} please", POLICY, "input", tenant="default", where="objective")
    assert done.text == "use [secret] please"
    assert key not in str(done.tripped)
    assert screen(done.text, POLICY, "input", tenant="default", where="objective").tripped == ()
