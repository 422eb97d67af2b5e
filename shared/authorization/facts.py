"""Facts of a call: the input of the rules without the operator's policy, as the record keeps it."""

from collections.abc import Callable
from typing import Literal

from schemas.plan import Effect
from schemas.verdict import LONGEST_EXCERPT, LONGEST_PLACE, MOST_PLACES, CallFacts, EditFacts, PlaceFacts
from shared.authorization.action import Allow, verdict_name
from shared.authorization.context import PolicyContext
from shared.authorization.destinations import host_of, stands_in
from shared.authorization.risk import LARGEST_AMOUNT, RuleInput
from shared.authorization.rules import judge, repeats

Clean = Callable[[str], str]
"""Redacts secrets from a text."""


def facts_of(case: RuleInput, arguments: str, clean: Clean) -> CallFacts:
    """Return the facts of a call of an offered tool, from which another policy can judge it."""
    tool, context, verdict = case.tool, case.context, judge(case)
    said = case.permission
    edited = None
    if said is not None and said.arguments is not None:
        edited = EditFacts(risk=said.risk, moves=said.moves, recipients=said.recipients or 0)
    return CallFacts(
        risk=tool.risk,
        effect=tool.effect,
        local=tool.local,
        declares=bool(tool.destinations),
        places=[_place(each, case, clean) for each in case.places[:MOST_PLACES]],
        recipients=len(case.places),
        moves={kind: min(amount, LARGEST_AMOUNT) for kind, amount in case.moved.items()},
        step_risk=context.step_risk,
        confidence=min(max(case.confidence, 0.0), 1.0),
        tainted=bool(context.origins),
        repeats=repeats(case) is not None,
        permitted=said is not None,
        edited=edited,
        verdict=verdict_name(verdict),
        rule=verdict.rule,
        notify=isinstance(verdict, Allow) and verdict.notify,
        arguments=_excerpt(clean(arguments), LONGEST_EXCERPT),
    )


def _place(place: str, case: RuleInput, clean: Clean) -> PlaceFacts:
    name = _excerpt(clean(place), LONGEST_PLACE)
    asked = case.context.trusted.asks(case.tool.asked_by, place)
    reads = case.tool.effect is Effect.READ and bool(case.context.origins)
    read = _readable(place, case.context) if reads else "no"
    return PlaceFacts(name=name, cut=name != place, asked=asked, read=read)


def _readable(address: str, context: PolicyContext) -> Literal["yes", "linked", "no"]:
    """Return `yes` if texts alone permit the read, `linked` if only a link that the policy may permit does."""
    trusted, plain = context.trusted, address.strip()
    if trusted.names(address) or trusted.names_site(address) or stands_in(plain, context.links):
        return "yes"
    host = host_of(plain)
    linking = [page for page in context.pages if stands_in(plain, [page.text])]
    if any(page.host == host for page in linking) or (linking and host is not None and trusted.names_host(host)):
        return "yes"
    return "linked" if linking else "no"


def _excerpt(text: str, longest: int) -> str:
    text = text.encode(errors="replace").decode()
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
