"""`waggle topics`: topics with their rates, consumer groups and lag."""

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.table import Table

from schemas.api.topics import GroupLag, TopicLag
from services.cli.api.client import Gateway
from services.cli.commands.skip import skip
from services.cli.options import GatewayOption, JsonOption
from services.cli.session import connect
from services.cli.show.render import plain_table
from services.cli.terminal import Clean, Screen, one_line

app = typer.Typer(add_completion=False, invoke_without_command=True)
app.command("skip")(skip)


@dataclass(frozen=True, slots=True)
class Sample:
    """The topics at one moment."""

    at: float
    topics: Sequence[TopicLag]


@app.callback()
def topics(
    context: typer.Context,
    sample: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.2, max=60, help="Interval over which rates are measured.")
    ] = 2.0,
    watch: Annotated[bool, typer.Option("--watch", help="Repeat until Ctrl-C.")] = False,
    gateway: GatewayOption = None,
    json: JsonOption = False,
) -> None:
    """List topics with their messages and rates, and their consumer groups with lag.

    Two samples are taken, --sample seconds apart. With --json --watch, each sample is one line.
    """
    if context.invoked_subcommand:
        return
    screen = Screen(json=json)
    with connect(gateway, None) as client:
        before = take_sample(client)
        if watch:
            _repeat(screen, client, before, sample)
        time.sleep(sample)
        after = take_sample(client)
    _show(screen, before, after)


def take_sample(client: Gateway) -> Sample:
    """Return the topics as of now."""
    topics = client.topics()
    return Sample(time.monotonic(), topics)


def _repeat(screen: Screen, client: Gateway, before: Sample, pause: float) -> None:
    """Show sample after sample, with the rates since the one before; on a terminal in one place."""
    with Live(console=screen.console, auto_refresh=False) if screen.live else nullcontext() as view:
        while True:
            time.sleep(pause)
            after = take_sample(client)
            if isinstance(view, Live):
                view.update(Clean(table(before, after)), refresh=True)
            else:
                _show(screen, before, after)
            before = after


def _show(screen: Screen, before: Sample, after: Sample) -> None:
    screen.answer(with_rates(before, after), table(before, after))


def with_rates(before: Sample, after: Sample) -> list[dict[str, Any]]:
    """Return the gateway's answer with `per_second` added: arrivals of a topic, commits of a group."""
    rates = _rates(before, after)
    return [
        {
            **dict(topic),
            "per_second": rates[topic.topic, None],
            "groups": [{**dict(group), "per_second": rates[topic.topic, group.group]} for group in topic.groups],
        }
        for topic in after.topics
    ]


def table(before: Sample, after: Sample) -> Table:
    """Return a table of the topics, with a line for each of their groups."""
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


def _cells(group: GroupLag, rate: float | None) -> tuple[str, ...]:
    members = "?" if group.members is None else str(group.members)
    lag = "reads all" if group.lag is None else f"{group.lag:,}"
    return one_line(group.group), one_line(group.state or "?"), members, lag, _rate(rate)


def _rates(before: Sample, after: Sample) -> Mapping[tuple[str, str | None], float | None]:
    """Return messages per second: arrivals by `(topic, None)`, commits by `(topic, group)`."""
    seconds = max(after.at - before.at, 0.001)
    earlier_topics = {topic.topic: topic for topic in before.topics}
    rates: dict[tuple[str, str | None], float | None] = {}
    for topic in after.topics:
        earlier = earlier_topics.get(topic.topic, topic)
        arrived = topic.written - earlier.written
        rates[topic.topic, None] = arrived / seconds
        lags = {group.group: group.lag for group in earlier.groups}
        for group in topic.groups:
            committed = _committed(arrived, lags.get(group.group), group.lag)
            rates[topic.topic, group.group] = None if committed is None else committed / seconds
    return rates


def _committed(arrived: int, lag_before: int | None, lag_after: int | None) -> int | None:
    """Return the messages a group has committed; None if a lag is unknown."""
    if lag_before is None or lag_after is None:
        return None
    return max(0, arrived + lag_before - lag_after)


def _rate(rate: float | None) -> str:
    return "" if rate is None else f"{rate:,.1f}"
