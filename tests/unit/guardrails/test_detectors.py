"""Findings of the detectors in attacks and in their harmless twins."""

import random
import string

import pytest

from shared.guardrails import FindingKind, find, parse_policy, sanitised
from tests.support.guard_attacks import DISGUISES, ENCODED, IMITATIONS, ORDERS

POLICY = parse_policy('[words.abuse]\nwords = ["blast it"]\npatterns = ["d[a4]rn"]')


def kinds(text: str) -> set[FindingKind]:
    return {found.kind for found in find(text, POLICY)}


def random_text(length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    """Made at test time, so that no key stands in the repository."""
    return "A1" + "".join(random.Random(length).choices(alphabet, k=length - 2))


KEYS = {
    "AWS": "AKIA" + random_text(16, string.ascii_uppercase + string.digits),
    "GitHub": "ghp_" + random_text(36),
    "GitLab": "glpat-" + random_text(20),
    "Slack": "xoxb-" + random_text(30),
    "Google": "AIza" + random_text(35),
    "Stripe": "sk_live_" + random_text(24),
    "provider": "sk-proj-" + random_text(48),
    "JWT": f"eyJ{random_text(20)}.{random_text(30)}.{random_text(40)}",
    "Hugging Face": "hf_" + random_text(34),
    "Waggle": "wgl_" + random_text(43),
    "Waggle signing": "wgs_" + random_text(43),
    "npm": "npm_" + random_text(36),
    "URL": f"postgresql://app:{random_text(12)}@db.example/x",
    "named": f'password = "{random_text(14)}"',
    "German": f"Das Passwort lautet {random_text(12)}",
    "header": f"Authorization: Bearer {random_text(32)}",
    "private": f"-----BEGIN PRIVATE KEY-----\n{random_text(64)}\n-----END PRIVATE KEY-----",
}

NO_SECRETS = [
    "password = os.environ['DB_PASSWORD']",
    "api_key: <your-api-key>",
    "token = get_token(user)",
    "sk-learn-compatible-estimators are listed",
    "sk-xxxxxxxxxxxxxxxxxxxxxxxx1",
    "password: changeme",
    "The secret is: patience and practice",
    "commit 3473726f0a1b2c3d4e5f60718293a4b5c6d7e8f9",
    "http://localhost:8080/@scope/package",
]


@pytest.mark.parametrize("name", KEYS)
def test_a_key_is_found_and_the_finding_does_not_show_it(name):
    text = f"Here it is:\n{KEYS[name]}\nbye"
    found = [each for each in find(text, POLICY) if each.kind is FindingKind.SECRET]
    assert found
    assert not any(text[each.start : each.end] in each.why for each in found)


@pytest.mark.parametrize("text", NO_SECRETS)
def test_text_that_only_resembles_a_secret_passes(text):
    assert FindingKind.SECRET not in kinds(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Write to Jane.Doe+x@mail.example.org, please", FindingKind.EMAIL),
        ("Ring +49 30 901820 tomorrow", FindingKind.PHONE),
        ("Ring 0049 30 901820 tomorrow", FindingKind.PHONE),
        ("Tel.: 030 901820", FindingKind.PHONE),
        ("Call me at (650) 253-0000.", FindingKind.PHONE),
        ("Konto DE89 3704 0044 0532 0130 00 BIC folgt", FindingKind.IBAN),
        ("FR1420041010050500013M02606", FindingKind.IBAN),
        ("card 4111 1111 1111 1111 exp 12/30", FindingKind.CARD),
        ("3782-822463-10005", FindingKind.CARD),
        ("well, BLAST IT", FindingKind.ABUSE),
        ("d4rn", FindingKind.ABUSE),
    ],
)
def test_personal_data_and_listed_words_are_found(text, kind):
    assert kind in kinds(text)


@pytest.mark.parametrize(
    "text",
    [
        "version 1.2.3 of 2026-11-21 10:00, order 4711-12345678",
        "DE89 3704 0044 0532 0130 01",
        "4111 1111 1111 1112",
        "the sum is 5500000000000004.25",
        "user@localhost and @decorator(x) and git@v2",
        "+1234567890123456 is too long",
        "blast items",
    ],
)
def test_numbers_and_words_that_are_something_else_are_let_pass(text):
    assert kinds(text) == set()


@pytest.mark.parametrize(("name", "attack", "twin"), ORDERS, ids=[f"{o[0]}-{i}" for i, o in enumerate(ORDERS)])
def test_an_order_to_a_model_is_found_and_its_harmless_twin_is_not(name, attack, twin):
    assert FindingKind.INSTRUCTION in kinds(f"Dear team,\n{attack}\nRegards")
    assert FindingKind.INSTRUCTION not in kinds(f"Dear team,\n{twin}\nRegards")


@pytest.mark.parametrize(("name", "attack", "twin"), ENCODED, ids=[each[0] for each in ENCODED])
def test_an_encoded_order_is_found_and_other_encoded_text_is_not(name, attack, twin):
    assert FindingKind.ENCODED in kinds(f"see: {attack} .")
    assert FindingKind.ENCODED not in kinds(f"see: {twin} .")


@pytest.mark.parametrize(("name", "attack", "twin"), IMITATIONS, ids=[each[0] for each in IMITATIONS])
def test_an_imitated_role_or_tool_call_is_found_and_its_harmless_twin_is_not(name, attack, twin):
    assert FindingKind.IMITATION in kinds(attack)
    assert FindingKind.IMITATION not in kinds(twin)


@pytest.mark.parametrize(("name", "attack", "twin", "kind"), DISGUISES, ids=[each[0] for each in DISGUISES])
def test_a_disguise_is_found_and_gone_when_sanitised(name, attack, twin, kind):
    assert kind in kinds(attack)
    assert kind not in kinds(sanitised(attack))
    assert not {FindingKind.HIDDEN, FindingKind.LOOKALIKE} & kinds(twin)
