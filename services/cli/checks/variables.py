"""Check of the environment: variables the product knows, with values that fit together."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import TypeVar

from pydantic import ValidationError

from infra.variables import all_variables, own_settings
from services.cli.checks.check_result import CheckResult, fail, ok, warn
from shared.config import ServiceSettings, Settings, settings_of, wrong_settings
from shared.service.policies import wrong_policies

PREFIX = "WAGGLE_"
S = TypeVar("S", bound=ServiceSettings)
KNOWN = frozenset(all_variables())


def check_variables(environment: Mapping[str, str]) -> tuple[Settings | None, list[CheckResult]]:
    """Return the settings, or None if some are wrong, and the results of the check."""
    unknown = [*_unknown(environment)]
    settings, problems = _read(environment, Settings)
    own = [_read(environment, kind) for kinds in own_settings().values() for kind in kinds]
    problems += [problem for _, wrong in own for problem in wrong if problem not in problems]
    if settings is not None:
        problems += dict.fromkeys(wrong_policies(settings, *(each for each, _ in own if each is not None)))
    if settings is None or problems:
        return None, [*unknown, *(_refused(problem) for problem in problems)]
    given = sum(1 for name in environment if name in KNOWN)
    return settings, [*unknown, ok("settings", f"{given} variables are set, and are consistent")]


def _unknown(environment: Mapping[str, str]) -> Iterator[CheckResult]:
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in KNOWN:
            near = get_close_matches(name.removeprefix(PREFIX), [each.removeprefix(PREFIX) for each in KNOWN], n=1)
            do = f"did you mean {PREFIX}{near[0]}?" if near else "docs/configuration.md lists all variables"
            yield warn("settings", f"{name} is not a variable of Waggle and is ignored", do)


def _refused(problem: str) -> CheckResult:
    return fail("settings", problem, "correct it; docs/configuration.md describes all settings")


def _read(environment: Mapping[str, str], kind: type[S]) -> tuple[S | None, list[str]]:
    """Return the settings of this type, or None and a sentence for each variable that is wrong."""
    try:
        return settings_of(environment, kind), []
    except ValidationError as invalid:
        return None, [part for problem in wrong_settings(invalid, kind) for part in problem.split("; ")]
