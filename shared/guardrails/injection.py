"""Prompt injection: orders to a model, imitated roles and tool calls, and disguises of both.

Patterns find known phrases and their variants, in the languages listed. They reduce the noise; the actions of a
manipulated model are limited elsewhere, by the gate.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import unquote

from shared.guardrails.finding import Finding, FindingKind
from shared.guardrails.near import lowered, near
from shared.guardrails.sanitise import alike_spans, invisible_spans, unhidden


class _Order(NamedTuple):
    """An order to a model. `stems`: one of them is in every match, in lower case."""

    why: str
    stems: tuple[str, ...]
    pattern: re.Pattern[str]


def _order(why: str, stems: str, *patterns: str) -> _Order:
    return _Order(why, tuple(stems.split("|")), re.compile("|".join(patterns)))


_OVERRIDE = "orders a model to ignore its instructions"

_ORDERS = (
    _order(
        _OVERRIDE,
        "ignore|disregard|forget|override|bypass",
        r"(?<!not )(?<!n't )(?<!n’t )(?<!never )\b(?:ignore|disregard|forget|override|bypass)\b(?:\W+\w+){0,4}?\W+"
        r"(?:previous|prior|above|earlier|preceding|original|your|system|all|any)\b(?:\W+\w+){0,3}?\W+"
        r"(?:instructions?|rules|prompts?|guidelines|directives|commands|guardrails|training)\b",
        r"\b(?:ignore|disregard|forget)\W+(?:everything|all)\W+(?:above|before|you\W+(?:were|have|know)|prior|previous)",
    ),
    _order(
        _OVERRIDE,
        "ignorier|vergiss|missacht|vergesst|vernachlässig|beachte",
        r"\b(?:ignoriere?|ignorieren\W+sie|ignoriert(?=\W+(?:bitte|alle|sämtliche))|vergiss|vergesst|missachtet?)\b"
        r"(?!\W+nicht)(?:\W+\w+){0,4}?\W+(?:anweisung|instruktion|regel|"
        r"vorgabe|befehl|prompt)\w*",
        r"\bbeachte\W+(?:die|deine)\W+(?:\w+\W+){0,3}(?:anweisung|regel|vorgabe)\w*\W+nicht\b",
    ),
    _order(
        _OVERRIDE,
        "ignore|oublie",
        r"\b(?:ignore[zr]?|oublie[zr]?)\W+(?:toutes?|tous|les|tes|vos|ces|ses|l|d)\b(?:\W+\w+){0,5}?\W+(?:instructions|consignes|règles|directives)\b",
    ),
    _order(
        _OVERRIDE,
        "ignora|ignore|olvida|omite|esquec|desconsider|dimentica",
        r"\b(?:ignor[ae]n?|olvid[ae]n?|omit[ae]n?|esqueç?c?[ae]m?|desconsidere|dimentica(?:re)?)\b(?:\W+\w+){0,5}?\W+"
        r"(?:instrucciones|instruções|istruzioni|reglas|regras|regole|indicaciones|órdenes)\b",
    ),
    _order(
        _OVERRIDE,
        "negeer|vergeet|zignoruj|ignoruj|zapomnij",
        r"\b(?:negeer|vergeet)\b(?:\W+\w+){0,4}?\W+(?:instructies|regels|opdrachten)\b",
        r"\b(?:z?ignoruj|zapomnij)\b(?:\W+\w+){0,4}?\W+(?:instrukcj|polece|zasad|reguł)\w*",
    ),
    _order(
        _OVERRIDE,
        "игнориру|забудь|ігнору|не обращай",
        r"\b(?:про)?игнорируй(?:те)?\b(?:\W+\w+){0,4}?\W+(?:инструкци|указани|правил|команд)\w*",
        r"\bзабудь(?:те)?\b(?:\W+\w+){0,4}?\W+(?:инструкци|указани|правил|команд)\w*",
        r"\bігноруй(?:те)?\b(?:\W+\w+){0,4}?\W+(?:інструкці|вказівк|правил)\w*",
    ),
    _order(
        _OVERRIDE,
        "talimat|kurallar",
        r"\b(?:önceki|yukarıdaki|tüm)\b(?:\W+\w+){0,3}?\W+(?:talimat|kural|komut)\w*\W+(?:\w+\W+)?"
        r"(?:yok\W+say|unut|görmezden\W+gel|dikkate\W+alma)",
    ),
    _order(
        _OVERRIDE,
        "忽略|无视|無視|忘记|忘掉|무시|잊어|忘れ",
        r"(?:忽略|无视|無視|忘记|忘掉)[^。\n]{0,12}(?:指令|指示|说明|規則|规则|提示|命令)",
        r"(?:指示|命令|ルール|プロンプト)[^。\n]{0,6}(?:無視|忘れ)",
        r"(?:지시|명령|규칙|프롬프트|지침)[^.\n]{0,8}(?:무시|잊)",
    ),
    _order(
        _OVERRIDE,
        "تجاهل|انس|अनदेखा|अनदेखी|נעלם|התעלם",
        r"(?:تجاهل|انس)\s[^.\n]{0,30}(?:التعليمات|الأوامر|القواعد|تعليمات)",
        r"(?:निर्देश|नियम)\S*\s[^।\n]{0,20}अनदेख[ाी]",
        r"התעלם\s[^.\n]{0,30}(?:ההוראות|הכללים|הוראות)",
    ),
    _order(
        "gives a model another role",
        "you are now|you're now|pretend|jailbr|developer mode|dan mode|act as|du bist jetzt|du bist nun|"
        "tu es maintenant|ahora eres|agora você|from now on|ab jetzt|ab sofort",
        r"\byou(?:\W+a|'|’)re\W+now\W+(?:an?\W+)?(?:\w+\W+){0,3}(?:assistant|mode|model|ai|agent|dan|hacker|unrestricted|"
        r"unfiltered|free|jailbroken|admin(?:istrator)?|root)\b",
        r"\b(?:enter|enable|activate|switch\W+to)\W+(?:\w+\W+){0,2}(?:developer|dan|god|debug|jailbreak|unrestricted)"
        r"\W+mode\b",
        r"\b(?:pretend|act\W+as\W+(?:if|though))\W+you\W+(?:have|had|are|were)\W+(?:no|without|not\W+bound)\b",
        r"\bdu\W+bist\W+(?:jetzt|nun|ab\W+sofort)\W+(?:ein\w*\W+)?(?:\w+\W+){0,2}(?:assistent|modell|ki|agent|hacker|admin)",
        r"\b(?:tu\W+es\W+maintenant|ahora\W+eres|agora\W+você\W+é)\W+(?:un\w*\W+|um\w*\W+)?(?:\w+\W+){0,2}"
        r"(?:assistant|asistente|assistente|modèle|modelo|ia|ai|agente?)\b",
        r"\bfrom\W+now\W+on,?\W+(?:you\W+(?:will|must|shall|are)|only|always)\W+(?:\w+\W+){0,2}(?:obey|follow|answer|respond|"
        r"ignore|act|send)\b",
    ),
    _order(
        "asks for a model's hidden instructions",
        "system prompt|your instructions|initial prompt|systemprompt|deine anweisung|system message|hidden prompt",
        r"\b(?:reveal|print|show|repeat|output|tell|leak|expose|disclose)\b(?:\W+\w+){0,4}?\W+(?:system|initial|hidden|"
        r"secret)\W+(?:prompt|message|instructions)\b",
        r"\b(?:reveal|repeat|print|leak|disclose)\b(?:\W+\w+){0,2}?\W+your\W+instructions\b",
        r"\b(?:zeig|verrate|nenne|gib)\b(?:\W+\w+){0,4}?\W+(?:system-?prompt|deine\W+anweisungen)\b",
    ),
    _order(
        "addresses the model that reads it",
        "llm|language model|sprachmodell| ai | ai:| ai,|ai assistant|ai agent|ai model|ai system|ki-| ki:| ki |:ai",
        r"\b(?:attention|note|important|message|instructions?|notice|hinweis|achtung|wichtig)\b\W{0,4}(?:to|for|an|für)?"
        r"\W+(?:all\W+|the\W+|any\W+|die\W+|alle\W+)?(?:ai|llms?|language\W+models?|ki)(?:[\W_]+(?:assistants?|agents?|models?"
        r"|systems?|modelle?|assistenten|systeme))?\b(?=\W{0,3}(?:[:,!]|reading|you\b|must|please|who|that))",
        r"\bif\W+you\W+are\W+an?\W+(?:ai|llm|language\W+model|large\W+language\W+model)\b",
        r"\b(?:dear|hey|hello)\W+(?:ai|llm)\b(?:\W+(?:assistant|agent|model))?",
        r"\bwenn\W+du\W+eine?\W+(?:ki|sprachmodell)\b",
    ),
    _order(
        "orders a model to hide its actions",
        "tell the user|inform the user|mention this|notify the user|alert the user|dem nutzer|dem benutzer",
        r"\b(?:do\W+not|don['’]t|never|without)\W+(?:tell(?:ing)?|inform(?:ing)?|notify(?:ing)?|alert(?:ing)?)\W+"
        r"(?:the\W+)?(?:user|human|operator)\b",
        r"\b(?:do\W+not|don['’]t|never)\W+mention\W+this\W+(?:\w+\W+){0,3}(?:user|human|anyone|answer|summary)\b",
        r"\bsag\w*\W+(?:es\W+)?dem\W+(?:be)?nutzer\W+nicht",
    ),
    _order(
        "orders a model to send data elsewhere",
        "send|forward|exfiltrat|upload|post|schick|sende|leite|envoie|envía|envia|transfere",
        r"\b(?:send|forward|e-?mail|post|upload|exfiltrate|transmit)\b(?:\W+\w+){0,5}?\W+(?:passwords?|credentials|"
        r"secrets|api\W*keys?|tokens|conversation|chat\W+history|system\W+prompt|customer\W+(?:data|list|records))\b"
        r"(?:\W+\w+){0,5}?\W+(?:to|via)\W+(?:https?:|[\w.+-]+@)",
        r"\b(?:schick\w*|send(?:e|et)|leite\w*)\b(?:\W+\w+){0,6}?\W+(?:passw\w+|zugangsdaten|kundendaten|geheimnisse)\b"
        r"(?:\W+\w+){0,5}?\W+an\W+(?:https?:|[\w.+-]+@)",
        r"\b(?:envoie[zr]?|envía|envie)\b(?:\W+\w+){0,6}?\W+(?:mots?\W+de\W+passe|contraseñas?|senhas?|données|datos|dados)\b"
        r"(?:\W+\w+){0,5}?\W+(?:à|a|para)\W+(?:https?:|[\w.+-]+@)",
    ),
)

_ROLE = re.compile(
    r"<\|[a-z_]{2,40}\|>|\[/?inst\]|<</?sys>>|</?(?:antml:)?(?:tool_calls?|tool_results?|function_calls?|"
    r"function_results?|invoke|tool_use|tool_outputs?)[\s>=]|</?(?:system|assistant|developer)>"
    r"|(?:^|\n)\s{0,3}#{2,4}\s?(?:system|assistant|instruction)s?\s?:?\s?(?=\n)"
    r"|[\"']role[\"']\s?:\s?[\"'](?:system|assistant|tool|developer)[\"']"
    r"|[\"']tool_calls[\"']\s?:\s?\[|[\"']type[\"']\s?:\s?[\"']function[\"']\s?,\s?[\"']function[\"']\s?:"
    r"|(?:^|\n)(?:system|developer)(?:\s(?:message|prompt|override))?\s?:\s?(?=\S{3})"
)
_ROLE_SIGNS = (
    *(
        "<|",
        "inst]",
        "<<sys",
        "<</sys",
        "tool_",
        "function",
        "invoke",
        "system",
        "assistant",
        "developer",
        "instruction",
    ),
    *("'role'", '"role"'),
)

# The lookbehind comes second: only the first character of a run is tried.
_BASE64 = re.compile(r"[A-Za-z0-9+/_-](?<![\w+/=-].)[A-Za-z0-9+/_-]{23,8192}={0,2}(?![\w+/=-])")
_HEX = re.compile(r"[0-9a-fA-F](?<!\w.)(?:x[0-9a-fA-F])?[0-9a-fA-F][\s:]?(?:[0-9a-fA-F]{2}[\s:]?){15,4096}(?!\w)")
_HEX_ESCAPES = re.compile(r"(?:\\x[0-9a-fA-F]{2}){8,4096}")
_PERCENT = re.compile(r"(?:[\w.-]{0,40}%[0-9A-Fa-f]{2}[\w.-]{0,40}){4,400}")
_ENTITIES = re.compile(r"(?:&#x?[0-9a-fA-F]{2,6};){8,2000}|(?:\\u[0-9a-fA-F]{4}){8,2000}")
_SPACED = re.compile(r"[^\W\d_](?<!\w.)[ .\-_*](?:[^\W\d_][ .\-_*]){7,400}[^\W\d_](?!\w)")
_ROT13 = str.maketrans(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "nopqrstuvwxyzabcdefghijklmNOPQRSTUVWXYZABCDEFGHIJKLM"
)
_ROT13_SIGNS = ("vtaber", "qvfertneq", "sbetrg")
"""`ignore`, `disregard`, `forget`."""


def orders(text: str) -> list[Finding]:
    """Find orders to a model: in many languages, also with invisible characters or disguised letters in them."""
    plain = unhidden(text)
    if plain == text:
        return list(_orders_in(text))
    # Positions in the plain text differ from the original's: a disguised order is reported as the whole text.
    return [Finding(0, len(text), *found[2:]) for found in _orders_in(plain)]


def _orders_in(text: str) -> Iterator[Finding]:
    small = lowered(text)
    for why, stems, pattern in _ORDERS:
        for match in near(small, stems, pattern, before=80, after=240):
            yield Finding(*match.span(), FindingKind.INSTRUCTION, 0.8, why)


def imitations(text: str) -> list[Finding]:
    """Find marks of chat templates and tool protocols, and imitated turns of a conversation."""
    found = near(lowered(text), _ROLE_SIGNS, _ROLE, before=16, after=48)
    return [Finding(*match.span(), FindingKind.IMITATION, 0.8, "imitates a role or a tool call") for match in found]


def encoded(text: str) -> list[Finding]:
    """Find runs of base64, hex, percent signs, entities or single letters that hold an order or an imitation."""
    found: list[Finding] = []
    for what, start, end, decoded in _decoded(text):
        if any(_orders_in(decoded)) or imitations(decoded):
            found.append(Finding(start, end, FindingKind.ENCODED, 0.95, f"holds an order to a model, as {what}"))
    return found


def _decoded(text: str) -> Iterator[tuple[str, int, int, str]]:
    for what, sign, pattern, decode in _CODES:
        for match in pattern.finditer(text) if sign in text else ():
            yield what, *match.span(), decode(match.group())
    if any(sign in lowered(text) for sign in _ROT13_SIGNS):
        yield "ROT13", 0, len(text), text.translate(_ROT13)


def _from_base64(run: str) -> str:
    standard = run.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4)).decode("utf-8")
    except (binascii.Error, ValueError):
        return ""


def _from_hex(run: str) -> str:
    digits = re.sub(r"0x|\\x|[\s:]", "", run)
    try:
        return bytes.fromhex(digits).decode("utf-8")
    except ValueError:
        return ""


def _from_numbers(run: str) -> str:
    numbers = [
        int(hexadecimal, 16) if hexadecimal else int(decimal)
        for hexadecimal, decimal in re.findall(r"(?:&#x|\\u)([0-9a-fA-F]+)|&#(\d+)", run)
    ]
    return "".join(chr(number) for number in numbers if number < 0x110000)


_WORDS = re.compile(
    r"(ignore|disregard|forget|all|any|previous|prior|above|your|the|system|instructions?|rules|prompt)"
)


def _joined(run: str) -> str:
    """Restore the spaces between words that `i g n o r e   a l l` has lost, around the words that matter."""
    return _WORDS.sub(r" \1 ", re.sub(r"[\W_]", "", run).lower())


_CODES: tuple[tuple[str, str, re.Pattern[str], Callable[[str], str]], ...] = (
    ("base64", "", _BASE64, _from_base64),
    ("hex digits", "", _HEX, _from_hex),
    ("hex digits", "\\x", _HEX_ESCAPES, _from_hex),
    ("percent signs", "%", _PERCENT, unquote),
    ("character numbers", "&#", _ENTITIES, _from_numbers),
    ("character numbers", "\\u", _ENTITIES, _from_numbers),
    ("single letters", "", _SPACED, _joined),
)
"""Name of an encoding, a substring of every match, its pattern, and its decoder."""


def disguises(text: str) -> list[Finding]:
    """Find invisible characters, characters that reverse the order of reading, and words of mixed alphabets."""
    if text.isascii():
        return []
    hidden = [
        Finding(*span, FindingKind.HIDDEN, 0.9, "holds characters that cannot be seen")
        for span in invisible_spans(text)
    ]
    alike = [Finding(*span, FindingKind.LOOKALIKE, 0.7, "mixes letters that look alike") for span in alike_spans(text)]
    return hidden + alike
