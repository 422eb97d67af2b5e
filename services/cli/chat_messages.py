"""Lines that a person types while the swarm works on a turn: each is added to the task."""

import select
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOK = 0.1
"""Seconds between two looks for a line."""


@contextmanager
def typed_lines(take: Callable[[str], None]) -> Iterator[None]:
    """Pass each line that is typed on the terminal meanwhile to `take`. An unfinished line stays for the next prompt.

    Where a terminal cannot be looked at without waiting for it, as on Windows, nothing is taken.
    """
    ended = threading.Event()
    reader = threading.Thread(target=_read, args=(take, ended), daemon=True)
    reader.start()
    try:
        yield
    finally:
        ended.set()
        reader.join()


def _read(take: Callable[[str], None], ended: threading.Event) -> None:
    while not ended.is_set():
        try:
            ready, _, _ = select.select([sys.stdin], [], [], LOOK)
        except (OSError, ValueError):  # no terminal to select on
            return
        if ready:
            line = sys.stdin.readline()
            if not line:
                return
            if text := line.strip():
                take(text)
