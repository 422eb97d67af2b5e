"""Policy files of a process, read once before anything starts: a wrong entry is refused by its name."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from shared.access.principals import read_principals
from shared.access.settings import AccessSettings
from shared.access.tenants import read_tenants
from shared.authorization import read_gate
from shared.config import ServiceSettings, Settings, usable_settings
from shared.errors import Misconfigured
from shared.guardrails import read_policy

S = TypeVar("S", bound=ServiceSettings)


def load_policies(settings: Settings, *own: ServiceSettings) -> None:
    """Read the files a service depends on; the readers keep them. Raises Misconfigured, a line for each file.

    `own`: settings of this service alone, which may name files, too.
    """
    if problems := wrong_policies(settings, *own):
        raise Misconfigured("\n".join(problems))


def wrong_policies(settings: Settings, *own: ServiceSettings) -> list[str]:
    """Return a sentence for each of these files that cannot be used, beginning with its variable."""
    reads: list[Callable[[], object]] = [
        lambda: read_policy(settings.guardrails),
        lambda: read_gate(settings.gate),
        lambda: read_tenants(settings.tenants),
    ]
    reads += [partial(read_principals, each.principals) for each in own if isinstance(each, AccessSettings)]
    return [problem for read in reads for problem in _wrong(read)]


def read_configuration(kind: type[S], *checks: Callable[[Settings, S], object]) -> tuple[Settings, S]:
    """Return the settings of this process, the common ones and its own, once its policy files have been read.

    Exits with a sentence for each problem of a variable or a policy file, and for each check that raises Misconfigured.
    """
    (settings, wrong), (own, wrong_own) = usable_settings(Settings), usable_settings(kind)
    failed = [problem for check in checks for problem in _wrong(partial(check, settings, own))]
    with refusing_to_start():
        if problems := dict.fromkeys([*wrong, *wrong_own, *wrong_policies(settings, own), *failed]):
            raise Misconfigured("\n".join(problems))
    return settings, own


@contextmanager
def refusing_to_start() -> Iterator[None]:
    """Turn Misconfigured into the end of the process, with a sentence for each line of it."""
    try:
        yield
    except Misconfigured as why:
        sys.exit("\n".join(f"waggle cannot start: {problem}" for problem in str(why).splitlines()))


def _wrong(read: Callable[[], object]) -> list[str]:
    try:
        read()
    except Misconfigured as why:
        return [str(why).replace("\n", " ")]
    return []
