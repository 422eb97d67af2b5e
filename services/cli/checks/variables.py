"""Whether the environment's variables are the product's, and fit together."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from pydantic import ValidationError

from services.cli.checks.check_result import CheckResult, fail, ok, warn
from shared.config import Settings, settings_of, variable, wrong_settings
from shared.service.policies import wrong_policies

PREFIX = "WAGGLE_"
KNOWN = frozenset(variable(name, field) for name, field in Settings.model_fields.items())


def check_variables(environment: Mapping[str, str]) -> tuple[Settings | None, list[CheckResult]]:
    """The settings, if there can be any, and what is to be said about them."""
    unknown = [*_unknown(environment)]
    try:
        settings = settings_of(environment)
    except ValidationError as wrong:
        return None, [*unknown, *(_refused(problem) for problem in _each(wrong))]
    if problems := wrong_policies(settings):
        return None, [*unknown, *(_refused(problem) for problem in problems)]
    given = sum(1 for name in environment if name in KNOWN)
    return settings, [*unknown, ok("settings", f"{given} variables are set, and fit together")]


def _unknown(environment: Mapping[str, str]) -> Iterator[CheckResult]:
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in KNOWN:
            near = get_close_matches(name.removeprefix(PREFIX), [each.removeprefix(PREFIX) for each in KNOWN], n=1)
            do = f"is {PREFIX}{near[0]} meant?" if near else "docs/configuration.md lists those there are"
            yield warn("settings", f"{name} is no variable of Waggle and is not read", do)


def _refused(problem: str) -> CheckResult:
    return fail("settings", problem, "docs/configuration.md says what each takes")


def _each(wrong: ValidationError) -> list[str]:
    return [part for problem in wrong_settings(wrong) for part in problem.split("; ")]
