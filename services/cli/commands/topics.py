"""`waggle topics`: how messages flow."""

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.table import Table

from services.cli.api.client import Gateway
from services.cli.api.models import Group, Topic
from services.cli.commands.skipping import skip
from services.cli.options import GatewayOption, JsonOption, connect
from services.cli.show.render import plain_table
from services.cli.terminal import Clean, Screen, one_line

app = typer.Typer(add_completion=False, invoke_without_command=True)
app.command("skip")(skip)


@dataclass(frozen=True, slots=True)
class Sample:
    """The topics at one moment."""

    at: float
    answer: list[dict[str, Any]]

    @property
    def topics(self) -> Sequence[Topic]:
        """What the gateway said, as far as it is shown."""
        return [Topic.model_validate(each) for each in self.answer]


@app.callback()
def topics(
    context: typer.Context,
    sample: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.2, max=60, help="How long to look, for the rates.")
    ] = 2.0,
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")] = False,
    gateway: GatewayOption = None,
    json: JsonOption = False,
) -> None:
    """List the topics: what they hold and how fast it grows; who consumes them and how far they are behind.

    With --json --watch: one line for each look.
    """
    if context.invoked_subcommand:
        return
    screen = Screen(json=json)
    with connect(gateway, None) as client:
        before = look(client)
        if watch:
            follow(screen, client, before, sample)
        time.sleep(sample)
        after = look(client)
    tell(screen, before, after)


def look(client: Gateway) -> Sample:
    """How it stands now."""
    answer = client.topics()
    return Sample(time.monotonic(), answer)


def follow(screen: Screen, client: Gateway, before: Sample, pause: float) -> None:
    """Show every look, each with the rates since the one before; on a terminal in one place."""
    with Live(console=screen.console, auto_refresh=False) if screen.live else nullcontext() as view:
        while True:
            time.sleep(pause)
            after = look(client)
            if isinstance(view, Live):
                view.update(Clean(table(before, after)), refresh=True)
            else:
                tell(screen, before, after)
            before = after


def tell(screen: Screen, before: Sample, after: Sample) -> None:
    """One look."""
    if screen.json:
        screen.document(with_rates(before, after))
    else:
        screen.say(table(before, after))


def with_rates(before: Sample, after: Sample) -> list[dict[str, Any]]:
    """What the gateway answered, with `per_second` beside it: what came, and what each group finished."""
    rates = _rates(before, after)
    return [
        {
            **topic,
            "per_second": rates[topic["topic"], None],
            "groups": [
                {**group, "per_second": rates[topic["topic"], group["group"]]} for group in topic.get("groups", ())
            ],
        }
        for topic in after.answer
    ]


def table(before: Sample, after: Sample) -> Table:
    """The topics, a line for each of their groups."""
    rates = _rates(before, after)
    names = ("topic", "partitions", "messages", "in/s", "group", "state", "members", "lag", "done/s")
    shown = plain_table(*names, right=1, left_again=4)
    for column in shown.columns[6:]:
        column.justify = "right"
    for topic in after.topics:
        first = (one_line(topic.topic), str(topic.partitions), f"{topic.messages:,}", _rate(rates[topic.topic, None]))
        for number, group in enumerate(topic.groups or [None]):
            cells = _cells(group, rates.get((topic.topic, group.group))) if group else ("",) * 5
            shown.add_row(*(first if number == 0 else ("",) * 4), *cells)
    return shown


def _cells(group: Group, rate: float | None) -> tuple[str, ...]:
    members = "?" if group.members is None else str(group.members)
    lag = "reads all" if group.lag is None else f"{group.lag:,}"
    return one_line(group.group), one_line(group.state or "?"), members, lag, _rate(rate)


def _rates(before: Sample, after: Sample) -> Mapping[tuple[str, str | None], float | None]:
    """A second's messages: of each topic those that came, of each of its groups those that it finished."""
    seconds = max(after.at - before.at, 0.001)
    then = {topic.topic: topic for topic in before.topics}
    rates: dict[tuple[str, str | None], float | None] = {}
    for topic in after.topics:
        earlier = then.get(topic.topic, topic)
        came = topic.written - earlier.written
        rates[topic.topic, None] = came / seconds
        lags = {group.group: group.lag for group in earlier.groups}
        for group in topic.groups:
            was = lags.get(group.group)
            known = group.lag is not None and was is not None
            rates[topic.topic, group.group] = (
                max(0.0, (came + (was or 0) - (group.lag or 0)) / seconds) if known else None
            )
    return rates


def _rate(rate: float | None) -> str:
    return "" if rate is None else f"{rate:,.1f}"
