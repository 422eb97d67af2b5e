"""The failure of a way."""

from shared.errors import WaggleError


class NotSent(WaggleError):
    """The receiver did not accept a letter; the message never quotes addresses that are secret.

    `unknown`: it may have accepted it nevertheless. `after`: seconds that it asks senders to wait.
    """

    def __init__(self, message: str, *, code: str, unknown: bool = False, after: float = 0.0) -> None:
        super().__init__(message)
        self.code = code
        self.unknown = unknown
        self.after = after
