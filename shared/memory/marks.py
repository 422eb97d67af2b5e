"""Marks of a memory, found when it is written: its text asks, or names a time; it waits to be confirmed."""

import re

ASKS = 1
NAMES_A_TIME = 2
CANDIDATE = 4
"""Never recalled."""

MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan januar janvier enero gennaio janeiro",
            "february feb februar fevrier febrero febbraio fevereiro",
            "march mar marz mars marzo marco",
            "april apr avril abril aprile",
            "may mai mayo maggio maio",
            "june jun juni juin junio giugno junho",
            "july jul juli juillet julio luglio julho",
            "august aug aout agosto",
            "september sep sept septembre septiembre settembre setembro",
            "october oct oktober okt octobre octubre ottobre outubro",
            "november nov novembre noviembre novembro",
            "december dec dezember dez decembre diciembre dicembre dezembro",
        ),
        1,
    )
    for name in names.split()
}
"""Names of months in English, German, French, Spanish, Italian and Portuguese, without accents."""

_TIMES = re.compile(
    r"\b(?:yesterday|today|tonight|tomorrow|ago|last|next|week|weekend|month|year|day|morning|recently|since"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day"
    r"|gestern|heute|morgen|vor|woche|monat|jahr|hier|aujourd'hui|demain|semaine|mois|ayer|hoy|semana|mes"
    rf"|{'|'.join(name for name in MONTHS if len(name) > 3)}|\d{{4}}|\d{{1,2}}:\d\d)\b"
    r"|昨天|今天|明天|去年|上周|下周|昨日|今日|明日|先週|来週|\d+[年月日]",
    re.IGNORECASE,
)


def marks(text: str) -> int:
    """Return the marks of a text, added."""
    asks = ASKS if text.rstrip().endswith(("?", "？", "؟")) else 0
    return asks + (NAMES_A_TIME if _TIMES.search(text) else 0)
