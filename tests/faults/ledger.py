"""`python -m tests.faults.ledger`: the outside world. Tools act on it; it counts their effects, and never deduplicates.

It is the oracle: nothing in the swarm can change its counts. A rule makes it act on its caller at the moment of a call:
before it counts (the effect has not happened) or after (it has, and the caller does not know).
"""

import argparse
import asyncio
import json
import os
import signal
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


@dataclass(frozen=True, slots=True)
class Effect:
    """One call that was counted."""

    op: str
    """Operation, as the task's plan names it: one operation, however often it is done."""
    key: str
    """The idempotency key that came with the call."""
    effect: str
    at: float
    """Seconds since the epoch, on this machine's clock."""
    caller: int


@dataclass(slots=True)
class Rule:
    """Reaction to a call: `kill`, `stop`, `fail` (500), `refuse` (503) or `delay`.

    `when` is `before` or `after` it is counted; `op` is its operation, or `*`.
    """

    op: str
    do: str
    when: str
    times: int = 1
    seconds: float = 0.0
    done: int = field(default=0)

    def applies(self, op: str, when: str) -> bool:
        return self.done < self.times and self.when == when and self.op in (op, "*")


class Ledger:
    """Counted effects, in memory and on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.effects = [Effect(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []
        self.rules: list[Rule] = []
        self.epochs: dict[str, int] = {}
        self.fenced = 0

    def count(self, effect: Effect) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(effect)) + "\n")
        self.effects.append(effect)

    def is_fenced(self, op: str, epoch: int) -> bool:
        """True if a caller with a higher fencing epoch was here before."""
        highest = self.epochs[op] = max(self.epochs.get(op, 0), epoch)
        self.fenced += epoch < highest
        return epoch < highest

    async def act(self, op: str, when: str, caller: int) -> Response | None:
        """Do what the first rule for this moment says; the response, if that is the end of the call."""
        rule = next((rule for rule in self.rules if rule.applies(op, when)), None)
        if rule is None:
            return None
        rule.done += 1
        if rule.do in SIGNALS:
            with suppress(ProcessLookupError):  # it was ended by somebody else just now
                os.kill(caller, SIGNALS[rule.do])
            return JSONResponse({"error": "the caller was ended"}, 503)
        if rule.do == "delay":
            await asyncio.sleep(rule.seconds)
            return None
        return JSONResponse({"error": "as told"}, 500 if rule.do == "fail" else 503)


def application(ledger: Ledger) -> Starlette:
    """The ledger over HTTP."""

    async def act(request: Request) -> Response:
        body, caller = await request.json(), int(request.headers["x-caller"])
        op, key = body["op"], request.headers["idempotency-key"]
        if (ended := await ledger.act(op, "before", caller)) is not None:
            return ended
        if ledger.is_fenced(op, int(request.headers["fencing-epoch"])):
            return JSONResponse({"error": "fenced"}, 409)
        ledger.count(Effect(op=op, key=key, effect=body["effect"], at=time.time(), caller=caller))
        ended = await ledger.act(op, "after", caller)
        return ended or JSONResponse({"count": sum(each.op == op for each in ledger.effects)})

    async def show(request: Request) -> Response:
        prefix = request.query_params.get("prefix", "")
        return JSONResponse([asdict(each) for each in ledger.effects if each.op.startswith(prefix)])

    async def rule(request: Request) -> Response:
        ledger.rules.append(Rule(**await request.json()))
        return JSONResponse({})

    async def rules(request: Request) -> Response:
        done = {"done": sum(rule.done for rule in ledger.rules), "fenced": ledger.fenced}
        if request.method == "DELETE":
            ledger.rules, ledger.fenced = [], 0
        return JSONResponse(done)

    async def health(request: Request) -> Response:
        return JSONResponse({})

    return Starlette(
        routes=[
            Route("/effects", act, methods=["POST"]),
            Route("/effects", show),
            Route("/rules", rule, methods=["POST"]),
            Route("/rules", rules, methods=["GET", "DELETE"]),
            Route("/health", health),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.faults.ledger", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--file", type=Path, required=True, help="where the counted calls are kept")
    chosen = parser.parse_args()
    uvicorn.run(application(Ledger(chosen.file)), host="127.0.0.1", port=chosen.port, log_level="warning")


if __name__ == "__main__":
    main()
