"""Consumer of a service, which may also read topics alongside their owners."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple

from shared.bus import Deliverer, KeyedConsumer
from shared.config import Settings
from shared.service.http import check_dependencies


class Observed(NamedTuple):
    """Topics that a service reads alongside their owners."""

    pattern: str | None
    """Regular expression for these topics and the service's own, with the prefix; None: those of `topics`, from their
    beginning."""
    watch: Callable[[Any], Awaitable[None]]
    topics: tuple[str, ...] = ()


def consumer_of(
    topics: list[str], group: str, deliver: Deliverer, settings: Settings, observed: Observed | None
) -> KeyedConsumer:
    """Return the consumer of the service's topics, and of those it observes."""
    if observed is None:
        return KeyedConsumer(deliver.broker, topics, group, deliver, settings)
    from shared.bus.observer import Observer  # noqa: PLC0415 -- few services observe

    observer = Observer(deliver, frozenset(topics), observed.watch)
    return KeyedConsumer(deliver.broker, observed.topics, group, observer, settings, observed.pattern)


def check_of(group: str, observed: Observed | None) -> Callable[[Settings], Coroutine[Any, Any, None]]:
    """Return the check before the start, after which a new observing group begins where it should."""

    async def check(settings: Settings) -> None:
        await check_dependencies(settings)
        if observed is not None and observed.pattern is not None:
            from shared.bus.admin.beginning import begin_at_end  # noqa: PLC0415 -- as above

            await begin_at_end(settings, group, observed.pattern)

    return check
