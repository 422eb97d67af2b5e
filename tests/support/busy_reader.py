"""Functions a reading process may be asked for, most of them hostile."""

import ctypes
import os
import re
import time

from shared.tools import ToolError


def same(content):
    return content.decode()


def environment(content):
    return list(os.environ)


def spin(content):
    while True:
        pass


def sleep(content):
    time.sleep(60)


def grow(content):
    held = []
    while True:
        held.append(bytearray(1_000_000))


def backtrack(content):
    return bool(re.fullmatch(r"(a+)+b", "a" * 40))


def crash(content):
    return ctypes.string_at(0)


def fail(content):
    raise KeyError("x")


def refuse(content):
    raise ToolError("mine", "no", suggested_action="do this")
