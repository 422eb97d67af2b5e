"""The post office, the web hook and the calls that the tests of communication share."""

from tests.support.communication import call, hook, post

__all__ = ["call", "hook", "post"]
