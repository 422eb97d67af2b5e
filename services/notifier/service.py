"""The notifier sends people what they subscribed to: questions, failures, budgets, dead letters.

It reads the run log and the dead letters alongside their owners, turns each occasion into one notification for each
channel, and sends those: `watching.py` and `telling.py`. Between the two a notification waits in Kafka, so that neither
a kill nor a lost Redis loses one.
"""

from services.notifier.occasion import Console
from services.notifier.outlets import check_outlets, outlets_of
from services.notifier.settings import NotifierSettings
from services.notifier.telling import Teller
from services.notifier.watching import Watcher
from shared.blackboard.notices import Notices
from shared.bus.groups import NOTIFICATIONS, NOTIFIER, observed
from shared.notify import read_notify
from shared.service import Observed, connect, serve
from shared.service.policies import read_configuration


def main() -> None:
    """Serve until asked to stop."""
    settings, own = read_configuration(NotifierSettings, check_outlets)
    parts = connect(NOTIFIER, settings, own)
    notices = Notices(parts.redis)
    watcher = Watcher(parts, read_notify(own.notify), notices, Console(own.console_url))
    teller = Teller(parts, outlets_of(own), notices)
    observing = Observed(observed(settings.topic_prefix), watcher.watch)
    serve(parts, [NOTIFICATIONS], teller.handle, on_dead=teller.on_dead, observed=observing)
