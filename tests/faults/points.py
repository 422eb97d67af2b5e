"""Points at which a process under test ends or freezes itself, and the orders that name one.

An order is a line `kill after-journal 2` in the process's file of orders: at the second passage of that point the
process sends itself SIGKILL. Only the first line counts; when it is carried out the next one does, in the next process.
"""

import asyncio
import functools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

ORDERS = "FAULT_ORDERS"
"""Environment variable: the process's file of orders. What was carried out is noted in `<file>.done`."""

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


def give(orders: Path, *lines: str) -> None:
    """Replace the orders of a process, whether it runs already or not."""
    draft = orders.with_suffix(".draft")
    draft.write_text("".join(f"{line}\n" for line in lines))
    draft.replace(orders)


def done(orders: Path) -> int:
    """Number of orders that were carried out."""
    noted = orders.with_suffix(".done")
    return len(noted.read_text().splitlines()) if noted.exists() else 0


def passage(point: str) -> None:
    """Carry out the first order if it names this point, at its last passage."""
    orders = Path(os.environ.get(ORDERS, "/nowhere"))
    if not orders.exists():
        return
    first, *others = orders.read_text().splitlines() or [""]
    action, _, rest = first.partition(" ")
    wanted, _, number = rest.partition(" ")
    if wanted != point:
        return
    if int(number) > 1:
        give(orders, f"{action} {point} {int(number) - 1}", *others)
        return
    give(orders, *others)
    with orders.with_suffix(".done").open("a") as file:
        file.write(f"{os.getpid()} {first}\n")
    os.kill(os.getpid(), SIGNALS[action])


def around(owner: Any, method: str, name: str) -> None:
    """Make `before-<name>` and `after-<name>` points of a coroutine method."""
    original: Callable[..., Any] = getattr(owner, method)

    @functools.wraps(original)
    async def wrapped(*arguments: Any, **named: Any) -> Any:
        passage(f"before-{name}")
        outcome = await original(*arguments, **named)
        if isinstance(outcome, asyncio.Future):
            outcome.add_done_callback(lambda _: passage(f"after-{name}"))
        else:
            passage(f"after-{name}")
        return outcome

    setattr(owner, method, wrapped)
