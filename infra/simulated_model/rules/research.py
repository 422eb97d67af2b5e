"""Research: searches for the findings of earlier steps, reads the best document, quotes cause and remedy."""

from dataclasses import dataclass
from typing import Any

from infra.simulated_model.reply import PlannedCall
from infra.simulated_model.rules.ask import Asking, Rule, ask, ask_all
from infra.simulated_model.rules.passages import Section, sections, speaking_of
from infra.simulated_model.rules.words import URL, is_table, keywords
from infra.simulated_model.situation import Brief, Situation, ToolReply
from schemas.fact import Fact, Source
from schemas.step import Findings

READ_AT_ONCE = 4_000
"""Characters from a document's start that a read always covers."""
READ_AT_MOST = 2
"""Maximum documents opened, because a run's tool calls are limited."""
CAUSES = ("cause", "why", "symptom", "background")
REMEDIES = ("remed", "fix", "what to do", "step")
"""Parts of headings for a remedy, the best first."""
TELLING = ("code", "error", "reason", "message", "value")
"""Parts of names of facts that runbooks are written about."""


@dataclass(frozen=True, slots=True)
class Text:
    """A document or page that was read."""

    title: str
    uri: str
    body: str


def find(situation: Situation) -> Rule:
    """Read pages the objective names, files of the task, then the document store."""
    brief = situation.brief or Brief(objective="")
    terms = search_terms(brief)
    texts, problems = yield from _fetched(brief)
    found, trouble = yield from _searched(terms)
    return _findings(terms, [*texts, *found], [*problems, *trouble])


def search_terms(brief: Brief) -> list[str]:
    """Return the search terms: codes and values of earlier steps first, then the objective's own words."""
    facts = [fact for step in brief.earlier_steps for fact in step.output.facts if isinstance(fact.value, str)]
    codes = [str(f.value) for f in facts if any(part in f.name for part in TELLING) and len(str(f.value)) <= 60]
    names = {file.name.lower() for file in brief.files if is_table(file.name)}
    objective = brief.objective.rsplit("The task: ", 1)[-1]
    spoken = [word for word in keywords(objective) if word not in names]
    return list(dict.fromkeys([*sorted(codes, key=_unlike_a_code), *spoken]))[:14]


def _unlike_a_code(value: str) -> bool:
    return not (any(c.isupper() for c in value) and any(c in "_-0123456789" for c in value))


def _fetched(brief: Brief) -> Asking[tuple[list[Text], list[str]]]:
    urls = URL.findall(brief.objective)[:READ_AT_MOST]
    told = yield from ask_all(*(PlannedCall("fetch_page", {"url": url}) for url in urls))
    pages = [Text(str(t.get("title") or url), url, _body(t.data)) for url, t in zip(urls, told, strict=True) if t.ok]
    return pages, [f"{url} could not be read: {t.problem}" for url, t in zip(urls, told, strict=True) if not t.ok]


def _searched(terms: list[str]) -> Asking[tuple[list[Text], list[str]]]:
    told = yield from ask("search_documents", query=" ".join(terms[:8]), limit=5)
    hits = _documents(told)
    if told.ok and not hits and len(terms) > 1:
        told = yield from ask("search_documents", query=terms[0], limit=5)
        hits = _documents(told)
    places = {_name(hit): int(hit.get("offset") or 0) for hit in reversed(hits) if _name(hit)}
    names = list(reversed(places))[:READ_AT_MOST]
    read = yield from ask_all(*(PlannedCall("read_document", _part(name, places[name])) for name in names))
    pairs = list(zip(names, read, strict=True))
    texts = [Text(str(t.get("title") or n), str(t.get("uri") or n), _body(t.data)) for n, t in pairs if t.ok]
    return texts, [] if told.ok else [f"The documents could not be searched: {told.problem}"]


def _part(document: str, offset: int) -> dict[str, Any]:
    """Start at the beginning, unless the passage lies beyond one read."""
    return {"document": document} | ({"offset": offset} if offset > READ_AT_ONCE else {})


def _documents(told: ToolReply) -> list[dict[str, Any]]:
    """Return the hits of a search without tables, which contain the words of many rows and explain none."""
    hits = [hit for hit in told.data or [] if isinstance(hit, dict)] if isinstance(told.data, list) else []
    return [hit for hit in hits if not is_table(_name(hit))]


def _body(data: Any) -> str:
    """Return the text of a document or page."""
    return str(data.get("text") or "") if isinstance(data, dict) else ""


def _name(hit: dict[str, Any]) -> str:
    return str(hit.get("document") or "")


def _findings(terms: list[str], texts: list[Text], problems: list[str]) -> Findings:
    best = speaking_of(terms, texts, lambda text: text.body)
    if best is None:
        said = "Nothing was found that speaks of: " + ", ".join(terms[:8]) + "."
        return Findings(answer=said, facts=[], sources=[], confidence=0.1, caveats=["No source found.", *problems])
    direct = terms[0].lower() in best.body.lower()
    caveats = problems if direct else [f"The document does not mention {terms[0]} itself.", *problems]
    return _quoted(best, terms, direct=direct, caveats=caveats)


def _pick(chosen: list[Section], stems: tuple[str, ...]) -> Section | None:
    return next((s for stem in stems for s in chosen if stem in s.heading.lower() and s.body), None)


def _quoted(best: Text, terms: list[str], *, direct: bool, caveats: list[str]) -> Findings:
    """Return cause and remedy if the document has such sections, else the passage that best matches the search."""
    parts = sections(best.body)
    named = {"cause": _pick(parts, CAUSES), "remedy": _pick(parts, REMEDIES)}
    told = {name: section for name, section in named.items() if section is not None}
    passage = speaking_of(terms, parts, lambda section: f"{section.heading} {section.body}")
    quoted = [f"**{s.heading}**\n\n{s.body}" for s in told.values()] or [passage.body if passage else best.body[:800]]
    return Findings(
        answer=f"From “{best.title}”:\n\n" + "\n\n".join(quoted),
        facts=[Fact(name="document", value=best.title), *(Fact(name=n, value=s.plain) for n, s in told.items())],
        sources=[Source(title=best.title, uri=best.uri)],
        confidence=(0.9 if told else 0.6) if direct else 0.4,
        caveats=caveats,
    )
