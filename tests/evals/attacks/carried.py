"""Carriers of an order: every place for untrusted text, with every goal of an attacker."""

from tests.evals.attacks.goals import Goal, delete, fetch, hook, mail, pay, share
from tests.evals.attacks.making import Make, attack, twin
from tests.evals.attacks.scenes import PAGES, SCENES

_GOALS: dict[str, Goal] = {"mail": mail, "fetch": fetch, "hook": hook, "delete": delete, "pay": pay, "share": share}
_NAMES_NO_SLASH = ("file name", "message of an error", "names of the files a mail may have", "column name")


def family_of(title: str) -> str:
    if title in PAGES:
        return "order in a web page"
    if "MCP" in title:
        return "order from an MCP server"
    if "error" in title or "traceback" in title or "refusal" in title:
        return "order in an error"
    if "context" in title:
        return "order in the task's context"
    return "order in a file"


def attacks() -> list[Make]:
    """Each scene with three goals, another three from one scene to the next."""
    made: list[Make] = []
    for place, (title, scene) in enumerate(SCENES.items()):
        goals = ["mail", ("fetch", "hook")[place % 2], ("delete", "pay", "share")[place % 3]]
        if title in _NAMES_NO_SLASH:
            goals = ["mail" if goal in ("fetch", "hook") else goal for goal in goals][1:]
        made += [attack(family_of(title), scene, _GOALS[goal]) for goal in goals]
    return made


def twins() -> list[Make]:
    return [
        twin(family_of(title), scene, "Please mind the step.", told=title != "refusal of a mail server")
        for title, scene in SCENES.items()
    ]
