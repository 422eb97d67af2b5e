"""Push notifications of A2A, which the gateway refuses: its notifier has subscriptions of its own."""

from typing import Any, NoReturn

from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.utils.errors import PushNotificationNotSupportedError


async def _refuse(*_: Any) -> NoReturn:
    raise PushNotificationNotSupportedError("push notifications are not supported: use SubscribeToTask")


class WithoutPushNotifications(RequestHandler):
    """A handler that refuses every request about push notifications."""

    async def on_create_task_push_notification_config(self, *request: Any) -> NoReturn:
        """Refuse."""
        await _refuse(*request)

    async def on_get_task_push_notification_config(self, *request: Any) -> NoReturn:
        """Refuse."""
        await _refuse(*request)

    async def on_list_task_push_notification_configs(self, *request: Any) -> NoReturn:
        """Refuse."""
        await _refuse(*request)

    async def on_delete_task_push_notification_config(self, *request: Any) -> NoReturn:
        """Refuse."""
        await _refuse(*request)
