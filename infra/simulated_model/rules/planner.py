"""Planner: chooses agents by the objective's words, its files and the agents' cards."""

from dataclasses import dataclass

from infra.simulated_model.rules.ask import Rule, ask_all
from infra.simulated_model.rules.conversation import continues
from infra.simulated_model.rules.words import URL, addresses, is_table, keywords, mentions, sentence, words
from infra.simulated_model.situation import Brief, Situation
from schemas.plan import AgentCard, Plan, PlannedStep, Risk

ASKS_DATA = (
    "what",
    "when",
    "why",
    "wrong",
    "analy",
    "summar",
    "count",
    "average",
    "mean",
    "total",
    "trend",
    "anomal",
    "how",
)
NAMES_DATA = ("csv", "table", "database", "sql", "dataset", "column", "row", "parquet", "spreadsheet")
ASKS_RESEARCH = (
    "document",
    "runbook",
    "manual",
    "wiki",
    "knowledge",
    "search",
    "look",
    "read",
    "research",
    "explain",
    "fetch",
)
ASKS_WHY = ("why", "wrong", "cause", "remed", "fix", "incident", "solv", "troubleshoot")
ASKS_CODE = (
    "write",
    "script",
    "function",
    "program",
    "python",
    "code",
    "test",
    "verify",
    "recompute",
    "implement",
    "algorithm",
)
CHECKS = ("verify", "check", "recompute", "prove", "confirm")
ASKS_MESSAGE = ("mail", "email", "e-mail", "send", "report", "notify", "webhook", "post", "letter")
WORDS_NOT_CODE = ("mail", "email", "e-mail", "report", "letter", "summary", "message", "text", "memo", "note")


@dataclass(frozen=True, slots=True)
class Wish:
    """Kinds of work the brief asks for, one flag each."""

    data: bool
    research: bool
    code: bool
    communication: bool


def plan(situation: Situation) -> Rule:
    """Return steps for the available agents, in the order of their dependencies."""
    yield from ask_all()
    brief = situation.brief or Brief(objective="")
    most = 1 if brief.shape == "router" else max(1, brief.max_steps)
    steps = _kept(_steps(brief) or [_fallback(brief)], most)
    return Plan(steps=steps, rationale=_rationale(brief, steps))


def wish(brief: Brief) -> Wish:
    """Read the objective and the constraints."""
    text = " ".join([brief.objective, *brief.constraints])
    tables = any(is_table(file.name) for file in brief.files)
    documents = any(not is_table(file.name) and not _image(file.media_type) for file in brief.files)
    data = (tables and (mentions(text, ASKS_DATA) or not _codes(text))) or mentions(text, NAMES_DATA)
    return Wish(
        data=data,
        research=mentions(text, ASKS_RESEARCH)
        or bool(URL.search(text))
        or documents
        or (data and mentions(text, ASKS_WHY)),
        code=_codes(text),
        communication=mentions(text, ASKS_MESSAGE) or bool(addresses(text)),
    )


def _codes(text: str) -> bool:
    found = words(text)
    writing = "write" in found and any(word in found for word in WORDS_NOT_CODE)
    stems = tuple(stem for stem in ASKS_CODE if not (writing and stem == "write"))
    return mentions(text, stems) or (mentions(text, CHECKS) and mentions(text, ("figure", "number", "result", "total")))


def _image(media_type: str) -> bool:
    return media_type.startswith(("image/", "audio/", "video/"))


def _steps(brief: Brief) -> list[PlannedStep]:
    barred = _barred(brief.feedback)
    wanted, cards = wish(brief), {c.name: c for c in brief.agents if c.plannable and c.name not in barred}
    if (same := cards.get(brief.last_agent or "")) and continues(brief):
        return [_step(same, brief.objective, [])]
    steps: list[PlannedStep] = []
    for name in ("data", "research", "code"):
        if getattr(wanted, name) and name in cards:
            builds_on = [step.id for step in steps if step.agent == "data"]
            steps.append(_step(cards[name], _objective(name, brief), builds_on))
    steps += [_step(card, brief.objective, []) for card in _named(brief, cards)]
    if wanted.communication and "communication" in cards:
        builds_on = [step.id for step in steps]
        steps.append(_step(cards["communication"], _objective("communication", brief), builds_on))
    return steps


def _objective(agent: str, brief: Brief) -> str:
    tables = ", ".join(file.name for file in brief.files if is_table(file.name)) or "the tables"
    lead = {
        "data": f"Analyse {tables} and answer with figures",
        "research": "Search the documents for what explains this and what to do about it",
        "code": "Verify or compute this with a program and a test",
        "communication": "Report the results of the earlier steps and deliver the report as asked",
    }[agent]
    return f"{lead}. The task: {brief.objective}"


def _step(card: AgentCard, objective: str, depends_on: list[str]) -> PlannedStep:
    risk = max((tool.risk for tool in card.tools), key=list(Risk).index, default=Risk.LOW)
    return PlannedStep(id=card.name, objective=objective, agent=card.name, depends_on=depends_on, risk=risk)


def _named(brief: Brief, cards: dict[str, AgentCard]) -> list[AgentCard]:
    """Return other agents if the objective names them or mentions their work."""
    own = {"data", "research", "code", "communication", "planner", "writer", "reviewer"}
    spoken = set(keywords(brief.objective))
    others = [card for name, card in cards.items() if name not in own]
    return [card for card in others if card.name in spoken or len(spoken & set(keywords(card.description))) >= 2]


def _fallback(brief: Brief) -> PlannedStep:
    """Choose an agent if nothing matched: read if possible, else write an honest answer, else any agent."""
    cards = {card.name: card for card in brief.agents if card.plannable}
    order = ["research", "communication"] if brief.files else ["communication", "research"]
    name = next((name for name in [*order, *cards] if name in cards), "communication")
    return _step(cards.get(name, AgentCard(name=name, description="")), brief.objective, [])


def _kept(steps: list[PlannedStep], most: int) -> list[PlannedStep]:
    """Limit the number of steps: supporting steps are dropped first, together with dependencies on them."""
    for name in ("code", "research", "communication"):
        if len(steps) > most:
            steps = [step for step in steps if step.agent != name] or steps
    ids = {step.id for step in steps[:most]}
    return [s.model_copy(update={"depends_on": [d for d in s.depends_on if d in ids]}) for s in steps[:most]]


def _barred(feedback: list[str]) -> set[str]:
    """Return names that the refusal of the last plan rejects."""
    against = [text for text in feedback if mentions(text, ("without", "not", "don", "unknown", "unavailable", "no"))]
    return {word for text in against for word in words(text)}


def _rationale(brief: Brief, steps: list[PlannedStep]) -> str:
    said = f"The objective's words, the files and the agents' cards ask for: {', '.join(s.agent for s in steps)}."
    return said + (f" An earlier plan was refused: {sentence('; '.join(brief.feedback))}" if brief.feedback else "")
