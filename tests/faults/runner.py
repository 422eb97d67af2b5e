"""Runs rows on one broker, each in a swarm that works: what a row broke is not handed on to the next."""

import shutil
import signal
import tempfile
from pathlib import Path

from tests.faults.broker import Broker
from tests.faults.table import Row
from tests.faults.trial import Outcome, Trial
from tests.faults.world import World


class Runner:
    """A broker, and a world on it for as long as the world is whole."""

    def __init__(self, kind: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="waggle-faults-"))
        self.broker = Broker(kind, self.folder / "kafka")
        self._world: World | None = None
        self._worlds = 0
        self._extras = False

    async def start(self) -> None:
        await self.broker.start()

    async def stop(self) -> None:
        await self.leave()
        await self.broker.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def world(self, *, extras: bool = False) -> World:
        """A swarm in which everything answers."""
        if self._world is not None and extras and not self._extras:
            await self.leave()
        if self._world is None:
            self._worlds += 1
            self._extras = extras
            self._world = World(self.broker, self.folder / f"world-{self._worlds}")
            await self._world.start(extras=extras)
        return self._world

    async def leave(self) -> None:
        """Throw the world away."""
        if self._world is not None:
            world, self._world = self._world, None
            await world.stop()

    async def run(self, row: Row) -> Outcome:
        """Counts of the row. Raises NotRun."""
        trial = Trial(await self.world(extras=row.extras), may_ask=row.may_ask)
        try:
            await row.do(trial)
            outcome = await trial.judge()
            if not outcome.problems and not trial.spoiled:
                await self.mend()
                return outcome
        except BaseException:
            await self.leave()
            raise
        await self.leave()
        return outcome

    async def mend(self) -> None:
        """Undo every change to the world, so that the next row finds everything working."""
        world = await self.world(extras=self._extras)
        for name, child in world.children.items():
            if child.pid is not None:
                world.signal(name, signal.SIGCONT)
            world.order(name)
        await world.rules(forget=True)
        await world.all_ready()
