"""The file WAGGLE_NOTIFY: channels, and subscriptions that select what each of them is sent. Pure.

A subscription without a filter takes everything of its events. A question that names no group may be answered by
anyone, so it is addressed to every group.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from schemas.message import Slug
from schemas.notification import About
from schemas.plan import Risk
from shared.config import Strict, read_toml
from shared.errors import Misconfigured
from shared.notify.hours import Period, Quiet
from shared.system.urls import is_loopback

VARIABLE = "WAGGLE_NOTIFY"

Address: TypeAlias = Annotated[
    str, StringConstraints(max_length=254, pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,189}$")
]


Person: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=200)]


def _whole_url(value: str) -> str:
    """Refuse an address that no request can go to, or that carries a password; the message never quotes it."""
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.fragment:
        raise ValueError("it is no address such as https://hooks.example.org/waggle, without user and password")
    if re.search(r"[\x00-\x20\x7f-\x9f]", value):
        raise ValueError("it holds a space or a control character")
    return value


Url: TypeAlias = Annotated[str, StringConstraints(max_length=2_000), AfterValidator(_whole_url)]


class Channel(Strict):
    """A way to some people: mail, a webhook, or a Slack-compatible webhook."""

    kind: Literal["mail", "webhook", "slack"]
    to: list[Address] = Field(default_factory=list, max_length=50)
    sender: Address | None = Field(None, alias="from")
    url: Url | None = None
    url_secret: Slug | None = Field(None, description="Entry of WAGGLE_NOTIFY_SECRETS with the address, if secret.")
    secret: Slug | None = Field(None, description="Entry of WAGGLE_NOTIFY_SECRETS that signs the requests.")
    plain: bool = Field(False, description="True if the address may be `http:` although it is not of this machine.")
    digest: Period | None = None
    quiet: Quiet | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        mail = self.kind == "mail"
        if mail and (not self.to or self.url or self.url_secret or self.secret):
            raise ValueError("a mail channel has `to`, and no `url`, `url_secret` or `secret`")
        if not mail and (self.to or self.sender or (self.url is None) == (self.url_secret is None)):
            raise ValueError(f"a {self.kind} channel has either `url` or `url_secret`, and no `to` or `from`")
        if self.kind == "webhook" and self.secret is None:
            raise ValueError("a webhook channel has `secret`, an entry of WAGGLE_NOTIFY_SECRETS")
        if self.kind == "slack" and self.secret is not None:
            raise ValueError("a slack channel has no `secret`: its address is the secret, see `url_secret`")
        if self.url is not None:
            check_scheme(self.url, plain=self.plain)
        return self


def check_scheme(url: str, *, plain: bool) -> None:
    """Raise ValueError for an address without TLS, unless it is of this machine or the file permits it."""
    parts = urlsplit(url)
    if parts.scheme == "http" and not plain and not is_loopback(parts.hostname or ""):
        raise ValueError("it is not encrypted: use https:, or set plain = true")


class Fact(NamedTuple):
    """An occasion as subscriptions see it."""

    about: frozenset[About]
    """Events it counts as: a run that exhausted its budget is a failed run, too."""
    tenant: str | None = None
    groups: tuple[str, ...] | None = None
    """Groups it is addressed to; empty: all of them. None: it is addressed to no group."""
    agent: str | None = None
    task_type: str | None = None
    risk: Risk | None = None
    person: str | None = None
    """Person to whom a question was passed on."""


class Subscription(Strict):
    """A selection of occasions for some channels."""

    events: list[About] = Field(min_length=1, max_length=20)
    channels: list[Slug] = Field(min_length=1, max_length=20)
    tenants: list[Slug] = Field(default_factory=list, max_length=500)
    groups: list[Slug] = Field(default_factory=list, max_length=500)
    agents: list[Slug] = Field(default_factory=list, max_length=500)
    task_types: list[Slug] = Field(default_factory=list, max_length=500)
    people: list[Person] = Field(default_factory=list, max_length=500)
    min_risk: Risk | None = None

    def takes(self, fact: Fact) -> bool:
        """Return true if the subscription selects this occasion."""
        return (
            bool(fact.about & set(self.events))
            and _among(fact.tenant, self.tenants)
            and _among(fact.agent, self.agents)
            and _among(fact.task_type, self.task_types)
            and self._addressed(fact.groups)
            and _among(_name(fact.person), self.people)
            and (self.min_risk is None or at_least(fact.risk, self.min_risk))
        )

    def _addressed(self, groups: Iterable[str] | None) -> bool:
        if not self.groups:
            return True
        return groups is not None and (not (named := set(groups)) or bool(named & set(self.groups)))


def _among(value: str | None, wanted: list[str]) -> bool:
    return not wanted or value in wanted


def _name(person: str | None) -> str | None:
    """Return the name of a person without the grants that a login adds to it: `ada@example.com as finance`."""
    return None if person is None else person.partition(" as ")[0]


def at_least(risk: Risk | None, least: Risk) -> bool:
    """Return true if the risk is known and not below `least`."""
    order = list(Risk)
    return risk is not None and order.index(risk) >= order.index(least)


class NotifyPolicy(Strict):
    """The whole file."""

    channels: dict[Slug, Channel] = Field(default_factory=dict, max_length=100)
    subscriptions: list[Subscription] = Field(default_factory=list, max_length=1_000)

    @model_validator(mode="after")
    def _known_channels(self) -> Self:
        for place, each in enumerate(self.subscriptions):
            for name in each.channels:
                if name not in self.channels:
                    raise ValueError(f"subscriptions.{place}.channels: there is no channel `{name}`")
        return self

    def channels_for(self, fact: Fact) -> list[str]:
        """Return the channels that are to be sent this occasion, each once."""
        found = (name for each in self.subscriptions if each.takes(fact) for name in each.channels)
        return list(dict.fromkeys(found))

    @property
    def wanted(self) -> frozenset[About]:
        """Events that any subscription selects."""
        return frozenset(about for each in self.subscriptions for about in each.events)


@cache
def read_notify(path: Path | None) -> NotifyPolicy:
    """Return the file's content; without a file no one is. Raises Misconfigured."""
    return NotifyPolicy() if path is None else read_toml(path, NotifyPolicy, VARIABLE)


def secret_of(channel: Channel, name: str | None, secrets: Mapping[str, SecretStr], where: str) -> str:
    """Return a secret that a channel names. Raises Misconfigured."""
    if name is None or name not in secrets:
        raise Misconfigured(f"{VARIABLE}: channels.{where}: WAGGLE_NOTIFY_SECRETS has no entry `{name}`")
    return secrets[name].get_secret_value()


def until(channel: Channel, now: datetime, risk: Risk | None) -> datetime | None:
    """Return the end of the channel's quiet hours; None if it may be used now."""
    quiet = channel.quiet
    if quiet is None or (quiet.except_risk is not None and at_least(risk, quiet.except_risk)):
        return None
    return quiet.until(now)
