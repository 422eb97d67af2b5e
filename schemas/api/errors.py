"""The body of an error."""

from schemas.error import ErrorInfo
from schemas.message import Part


class Failure(Part):
    """The body of every 4xx and 5xx answer."""

    error: ErrorInfo
