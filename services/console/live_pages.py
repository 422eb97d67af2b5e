"""Readers of live pages: a run by its events at the gateway, and the overview by asking again."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import httpx

from schemas.api.runs import RunView
from schemas.event import ENDS
from services.console.gateway import Gateway, GatewayFailure, KeyRefused, run_path
from services.console.live import Publish, Update
from services.console.overview import failing_checks, overview_of
from services.console.pages import environment
from services.console.run_page import EVENTS, board_marks, is_stopped, shown_parts

QUIET = 0.2
"""Seconds that events are gathered before the page is made from them."""

BETWEEN = 1.0
"""Least seconds between two updates of a run."""

UNTOLD = 10.0
"""Seconds without an event after which the state is read again: that an agent is gone is no event."""

RETRY = 1.0
"""Seconds until a stream of the gateway that has broken is opened again."""

CHECK = 15.0
"""Seconds between two checks of the swarm while the overview is open."""

POLL = 3.0
"""Seconds between two looks at the overview, and at the inbox."""

_ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)
"""Time of pages that are only compared: how long ago something was is no change."""

FINAL = frozenset({403, 404, 409})
"""Answers that asking again does not change."""

_START = 64
"""Bytes of a line that are looked at: ids are short, data is not needed."""


async def follow_run(gateway: Gateway, run_id: str, publish: Publish) -> None:
    """Publish the state of a run whenever it changes, until it is over."""
    position = "0"
    while True:
        try:
            over, position = await _show(gateway, run_id, publish)
            if over:
                return
            async with gateway.opened(run_path(run_id, "events"), headers={"Last-Event-ID": position}) as answer:
                await _follow(gateway, run_id, answer, publish)
        except KeyRefused:
            return
        except GatewayFailure as failure:
            if failure.status in FINAL:
                return
        await asyncio.sleep(RETRY)


async def _follow(gateway: Gateway, run_id: str, answer: httpx.Response, publish: Publish) -> None:
    """Publish the state after events, and now and then without one, until the stream ends."""
    changed = asyncio.Event()
    reading = asyncio.create_task(_note(answer, changed))
    try:
        while not reading.done():
            with suppress(TimeoutError):  # no event in that time: read the state without one
                async with asyncio.timeout(UNTOLD):
                    await changed.wait()
            await asyncio.sleep(QUIET)
            changed.clear()
            await _show(gateway, run_id, publish)
            await asyncio.sleep(BETWEEN)
        await reading
    finally:
        reading.cancel()


async def _note(answer: httpx.Response, changed: asyncio.Event) -> None:
    """Set `changed` after each event, and at the end."""
    try:
        async for line in _line_starts(answer):
            if line.startswith(b"id:"):
                changed.set()
    finally:
        changed.set()


async def _line_starts(answer: httpx.Response) -> AsyncIterator[bytes]:
    """Yield the first bytes of each line. Only a line feed ends one: separators within a text do not."""
    rest = b""
    async for chunk in answer.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[:_START]
        for line in lines:
            yield line


async def _show(gateway: Gateway, run_id: str, publish: Publish) -> tuple[bool, str]:
    """Publish the present state; return True if it is final, and the id of the last event."""
    run, trace, board, stopped = await asyncio.gather(
        gateway.run(run_id), gateway.trace(run_id, EVENTS), gateway.board(run_id), is_stopped(gateway, run_id)
    )
    position = trace.newest or "0"
    values = shown_parts(run, trace, board, stopped=stopped) | {"said": _said(run)}
    held_up = [each.agent for each in run.absent] + [each.handoff_id for each in run.parked]
    id = ".".join([str(run.version), position, str(stopped), *board_marks(board), *held_up])
    publish(Update(id, rendered("run/live.html", gateway, values)))
    return run.state in ENDS and not run.settling, position


def _said(run: RunView) -> str:
    """Return the state in a sentence that screen readers speak when it changes."""
    done = sum(step.status == "done" for step in run.steps)
    state = run.state.replace("_", " ").lower()
    return f"The run is {state}. {done} of {len(run.steps)} steps are done."


async def follow_overview(gateway: Gateway, publish: Publish) -> None:
    """Publish the overview again and again; its id is that of its contents. Kafka is asked less often than Redis."""
    failing, checked = None, -CHECK
    while True:
        try:
            values = await overview_of(gateway)
            if time.monotonic() - checked >= CHECK:
                failing, checked = await failing_checks(gateway), time.monotonic()
        except KeyRefused:
            return
        except GatewayFailure as failure:
            if failure.status in FINAL:
                return
        else:
            values |= {"failing": failing}
            html = rendered("overview/live.html", gateway, values)
            id = digest_of(rendered("overview/live.html", gateway, values, at=_ALWAYS))
            publish(Update(id, html))
        await asyncio.sleep(POLL)


def rendered(template: str, gateway: Gateway, values: dict[str, Any], at: datetime | None = None) -> str:
    """Return fragments of a page; they have no visitor's token in them."""
    about = {"tenant": gateway.tenant, "now": at or datetime.now(UTC)}
    return environment().get_template(template).render(about | values)


def digest_of(text: str) -> str:
    """Return the id of a text."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]
