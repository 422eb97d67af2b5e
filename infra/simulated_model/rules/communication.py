"""Communication: composes a report from the outputs of earlier steps, keeps it, and sends it to named recipients."""

from infra.simulated_model.reply import PlannedCall
from infra.simulated_model.rules.ask import Asking, Rule, ask, ask_all
from infra.simulated_model.rules.words import URL, addresses, mentions, sentence
from infra.simulated_model.situation import Brief, Situation
from schemas.fact import Fact
from schemas.step import Findings, StepOutput

TITLES = {"data": "What, when and why", "research": "What to do about it", "code": "Verification"}
REPORT = "report.md"


def report(situation: Situation) -> Rule:
    """Return the report as the final answer; facts list the deliveries."""
    brief = situation.brief or Brief(objective="")
    text = compose(brief)
    kept = yield from ask("write_report", name=REPORT, title=_title(brief), body=text)
    facts, problems = yield from _delivered(brief, text)
    if kept.done:
        facts.append(Fact(name="report", value=str(kept.get("name") or REPORT)))
    elif kept.error is not None and kept.error.get("code") != "not_available":
        problems.append(f"The report could not be kept as a file: {kept.problem}")
    sure = min((step.output.confidence for step in brief.earlier_steps), default=0.3)
    return Findings(
        answer=text + _delivery(facts),
        facts=facts,
        sources=[source for step in brief.earlier_steps for source in step.output.sources],
        confidence=round(sure if not problems else sure / 2, 2),
        caveats=[*dict.fromkeys(c for step in brief.earlier_steps for c in step.output.caveats), *problems],
    )


def compose(brief: Brief) -> str:
    """Compose one Markdown text: a summary first, then each step's answer, evidence and caveats."""
    if not brief.earlier_steps:
        return _alone(brief)
    parts = [_short(brief)] + [_part(step) for step in brief.earlier_steps]
    caveats = list(dict.fromkeys(caveat for step in brief.earlier_steps for caveat in step.output.caveats))
    if caveats:
        parts.append("## Caveats\n\n" + "\n".join(f"- {caveat}" for caveat in caveats))
    return "\n\n".join(part for part in parts if part)


def _alone(brief: Brief) -> str:
    known = [brief.context.text or "", *(f"- {name}: {value}" for name, value in brief.context.data.items())]
    given = "\n".join(line for line in known if line)
    note = "No earlier step worked on this, and the simulated model knows nothing beyond what it is given."
    return f"{given or 'Asked was: ' + sentence(brief.objective)}\n\n{note}"


def _short(brief: Brief) -> str:
    said = {name: brief.fact(name) for name in ("summary", "remedy", "verified")}
    lines = [f"**In short.** {said['summary']}"] if said["summary"] else []
    lines += [f"**What to do.** {said['remedy']}"] if said["remedy"] else []
    if said["verified"] is not None:
        lines.append(
            "**Verified.** "
            + ("An independent program comes to the same figures." if said["verified"] else "No: see below.")
        )
    return "\n\n".join(lines)


def _part(step: StepOutput) -> str:
    title = TITLES.get(step.agent, step.agent.capitalize())
    files = ", ".join(f"`{a.name}`" for a in step.output.artefacts)
    sources = ", ".join(f"“{s.title}”" for s in step.output.sources)
    evidence = [f"Files: {files}"] if files else []
    evidence += [f"Sources: {sources}"] if sources else []
    return "\n\n".join([f"## {title}", step.output.answer.strip(), *evidence])


def _title(brief: Brief) -> str:
    summary = brief.fact("summary")
    return sentence(str(summary or brief.objective.rsplit("The task: ", 1)[-1]), 120)


def _delivered(brief: Brief, text: str) -> Asking[tuple[list[Fact], list[str]]]:
    asked = " ".join([brief.objective, *brief.constraints])
    recipients, hooks = addresses(asked), URL.findall(asked) if mentions(asked, ("webhook", "post")) else []
    images = [
        a.name for step in brief.earlier_steps for a in step.output.artefacts if a.media_type.startswith("image/")
    ]
    mail = {"to": recipients, "subject": _title(brief), "body": text, "attachments": images}
    calls = [PlannedCall("send_email", mail)] if recipients else []
    calls += [
        PlannedCall("post_webhook", {"url": url, "payload": {"title": _title(brief), "report": text}}) for url in hooks
    ]
    told = yield from ask_all(*calls)
    facts, problems = [], []
    for call, result in zip(calls, told, strict=True):
        targets = ", ".join(recipients) if call.name == "send_email" else call.arguments["url"]
        if result.done:
            facts.append(Fact(name="mail_sent_to" if call.name == "send_email" else "posted_to", value=targets))
        elif result.ok:
            facts.append(Fact(name="would_go_to", value=targets))
        else:
            problems.append(f"{targets} was not reached: {result.problem}")
    return facts, problems


def _delivery(facts: list[Fact]) -> str:
    sent = [str(fact.value) for fact in facts if fact.name in ("mail_sent_to", "posted_to")]
    kept_back = [str(fact.value) for fact in facts if fact.name == "would_go_to"]
    said = f"\n\nDelivered to: {', '.join(sent)}." if sent else ""
    return said + (f"\n\nA dry run: not sent to {', '.join(kept_back)}." if kept_back else "")
