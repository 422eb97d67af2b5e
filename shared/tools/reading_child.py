"""Process behind `reading.py`: imports a module once, then forks a child with limits for each call."""

import importlib
import json
import os
import resource
import signal
import socket
import struct
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from shared.tools.call import ToolError


def serve(control: socket.socket, module: ModuleType) -> None:
    """Receive one socket per call from the parent process, until that ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    control.sendall(b"r")
    while True:
        _, descriptors, *_ = socket.recv_fds(control, 1, 1)
        if not descriptors:
            return
        if os.fork() == 0:
            control.close()
            _answer(descriptors[0], module)
            os._exit(0)
        os.close(descriptors[0])


def _answer(descriptor: int, module: ModuleType) -> None:
    with socket.socket(fileno=descriptor) as channel, channel.makefile("rb") as stream:
        answer = _made(stream, module)
        channel.sendall(json.dumps(answer, ensure_ascii=False).encode(errors="replace"))


def _made(stream: BinaryIO, module: ModuleType) -> dict[str, Any]:
    (length,) = struct.unpack("!I", stream.read(4))
    order = json.loads(stream.read(length))
    _limit(order)
    try:
        content = stream.read(order["size"])
        return {"result": getattr(module, order["function"])(content, **order["arguments"])}
    except MemoryError:
        return {"exhausted": True}
    except ToolError as refused:
        return {"refused": refused.info.model_dump(mode="json")}
    except Exception as failed:  # noqa: BLE001 -- errors of parsers share no base class
        return {"failed": type(failed).__name__}


def _limit(order: dict[str, Any]) -> None:
    """Set the limits at which the kernel ends this process: nothing here handles SIGALRM or SIGXCPU."""
    signal.setitimer(signal.ITIMER_REAL, order["seconds"])
    cpu = max(1, round(order["cpu"]))
    for kind, most in (
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_AS, _size_of_this() + order["memory"]),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))


def _size_of_this() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 1 << 30


if __name__ == "__main__":
    serve(socket.socket(fileno=os.dup(0)), importlib.import_module(sys.argv[1]))
