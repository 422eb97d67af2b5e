"""Relay that has the embedded broker answer a fetch as soon as a record arrives.

librdkafka's broker holds an empty fetch for its whole wait, even if a record arrives, so that clients would have to ask
it many times a second. The relay asks without a wait, and asks again once a record of these topics is stored.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress

from infra.embedded import wire

_HOST = "127.0.0.1"

_LARGEST = 100 * 2**20
"""Bytes of a message at most: Kafka's default for `socket.request.max.bytes`."""

_UNKNOWN = b""
"""Stands for the topics of a request that cannot be read."""

_WITH_ADDRESSES = {wire.METADATA, wire.FIND_COORDINATOR, wire.DESCRIBE_CLUSTER}
"""Requests whose answers name the broker's address."""


class LongPoll:
    """Server in front of a broker at a loopback port."""

    def __init__(self, bootstrap: str) -> None:
        self._port = int(bootstrap.rpartition(":")[2])
        self._arrivals = _Arrivals()
        self.bootstrap = ""

    async def start(self) -> asyncio.Server:
        """Listen on a free port; `bootstrap` is then the address."""
        server = await asyncio.start_server(self._connected, _HOST)
        own: int = server.sockets[0].getsockname()[1]
        self.bootstrap = f"{_HOST}:{own}"
        self._inner, self._outer = (_HOST.encode() + wire.SIZE.pack(port) for port in (self._port, own))
        return server

    async def _connected(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """Relay one connection until either side closes it."""
        requests: asyncio.Queue[bytes] = asyncio.Queue()
        with suppress(OSError, asyncio.CancelledError):  # cancelled when the process ends
            broker = _Broker(*await asyncio.open_connection(_HOST, self._port))
            halves = [asyncio.create_task(_read_into(requests, client))]
            halves.append(asyncio.create_task(self._relay(requests, broker, back)))
            await asyncio.wait(halves, return_when=asyncio.FIRST_COMPLETED)
            for each in halves:
                each.cancel()
            await asyncio.gather(*halves, return_exceptions=True)
            broker.close()
        back.close()

    async def _relay(self, requests: asyncio.Queue[bytes], broker: "_Broker", back: asyncio.StreamWriter) -> None:
        """Answer the requests of a connection in their order, as a broker does."""
        while True:
            request = wire.request(await requests.get())
            if (answer := await self._answer(request, broker)) is not None:
                back.write(answer)
                await back.drain()

    async def _answer(self, request: wire.Request, broker: "_Broker") -> bytes | None:
        if request.api == wire.FETCH and request.known:
            return await self._fetch(request, broker)
        if request.api == wire.PRODUCE:
            answer = await broker.ask(request.frame) if wire.acks(request) else broker.send(request.frame)
            self._arrivals.note(wire.produced(request))
            return answer
        answer = await broker.ask(request.frame)
        return answer.replace(self._inner, self._outer) if request.api in _WITH_ADDRESSES else answer

    async def _fetch(self, request: wire.Request, broker: "_Broker") -> bytes:
        """Return the first answer that is not empty, or an empty one when the request's wait is over."""
        at_once, wait = wire.without_wait(request)
        topics = wire.fetched(request)
        ends = asyncio.get_running_loop().time() + wait
        while True:
            stamp = self._arrivals.stamp(topics)
            answer = await broker.ask(at_once)
            if not wire.is_empty(answer, request.version) or not await self._arrivals.since(stamp, topics, ends):
                return answer


class _Broker:
    """Connection to the broker."""

    def __init__(self, answers: asyncio.StreamReader, requests: asyncio.StreamWriter) -> None:
        self._answers = answers
        self._requests = requests
        self.send = requests.write
        self.close = requests.close

    async def ask(self, request: bytes) -> bytes:
        """Return the answer to a request."""
        self._requests.write(request)
        return await _frame(self._answers)


class _Arrivals:
    """Counts of records per topic, and the fetches that wait for them."""

    def __init__(self) -> None:
        self._counts: Counter[bytes] = Counter()
        self._waiting: dict[bytes, set[asyncio.Future[None]]] = defaultdict(set)

    def stamp(self, topics: Sequence[bytes]) -> int:
        """Return a number that grows with each record in one of the topics."""
        return sum(self._counts[topic] for topic in (_UNKNOWN, *topics))

    def note(self, topics: Sequence[bytes] | None) -> None:
        """Wake the fetches of topics in which records arrived; all of them if the topics are unknown."""
        for topic in (_UNKNOWN, *self._waiting) if topics is None else topics:
            self._counts[topic] += 1
            for waiter in self._waiting.pop(topic, ()):
                if not waiter.done():
                    waiter.set_result(None)

    async def since(self, stamp: int, topics: Sequence[bytes], ends: float) -> bool:
        """Return True as soon as a record has arrived since the stamp, False if none has when the time is over."""
        if self.stamp(topics) != stamp:
            return True
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        for topic in topics:
            self._waiting[topic].add(waiter)
        await asyncio.wait([waiter], timeout=max(0.0, ends - loop.time()))
        for topic in topics:
            self._waiting[topic].discard(waiter)
        return waiter.done()


async def _read_into(requests: asyncio.Queue[bytes], client: asyncio.StreamReader) -> None:
    while True:
        requests.put_nowait(await _frame(client))


async def _frame(reader: asyncio.StreamReader) -> bytes:
    """Return the next message with its size. Raises IncompleteReadError at the end, and ConnectionError."""
    head = await reader.readexactly(wire.SIZE.size)
    [size] = wire.SIZE.unpack(head)
    if not 0 < size <= _LARGEST:
        raise ConnectionError(f"a message of {size} bytes: 1 to {_LARGEST} are accepted")
    return head + await reader.readexactly(size)
