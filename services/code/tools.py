"""Tools of the code agent: write files, run and test them in the sandbox, keep results."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, ParamSpec, TypeVar

from pydantic import BaseModel, Field

from schemas.message import MediaType
from services.code import project, sandbox
from services.code.sandbox import Program, RunOutcome
from services.code.settings import CodeSettings
from services.code.testing import runnable
from shared.system.files import local_name
from waggle import Artefact, Effect, Risk, ToolContext, ToolError, tool

_FILES = ThreadPoolExecutor(4, "project-files")
_P = ParamSpec("_P")
_T = TypeVar("_T")

ProjectPath = Annotated[
    str, Field(min_length=1, max_length=200, pattern=r"^[\w][\w./-]*$", description="Path in the project.")
]


class WrittenFile(BaseModel):
    """A file that was written."""

    path: str
    size: int


class FileText(BaseModel):
    """A part of a file's text."""

    path: str
    text: str
    offset: int
    next_offset: int | None


class FileEntry(BaseModel):
    """An existing file; those below `inputs/` are read-only."""

    path: str
    size: int


@tool(risk=Risk.LOW, effect=Effect.IDEMPOTENT, local=True, destinations=())
async def write_file(
    path: ProjectPath, content: Annotated[str, Field(max_length=200_000)], *, call: ToolContext
) -> WrittenFile:
    """Write a file of the project, replacing an existing one."""
    if _inside(path)[0] == "inputs":
        action = "write it elsewhere in the project"
        raise ToolError("read_only", "files below inputs/ can only be read", suggested_action=action)
    written = content.encode(errors="replace")
    await _apart(project.write, await _project(call), path, written)
    return WrittenFile(path=path, size=len(written))


@tool(risk=Risk.LOW, effect=Effect.READ, destinations=())
async def read_file(
    path: ProjectPath,
    offset: Annotated[int, Field(ge=0)] = 0,
    limit: Annotated[int, Field(ge=1, le=20_000)] = 6_000,
    *,
    call: ToolContext,
) -> FileText:
    """Read a text file of the project or below inputs/."""
    content = await _content(path, call)
    text, more = await _apart(_part, content, offset, limit)
    return FileText(path=path, text=text, offset=offset, next_offset=offset + limit if more else None)


@tool(risk=Risk.LOW, effect=Effect.READ, destinations=())
async def list_files(*, call: ToolContext) -> list[FileEntry]:
    """List the files of the project and those below inputs/."""
    there = await _apart(project.entries, await _project(call))
    inputs = [FileEntry(path=f"inputs/{local_name(file.name)}", size=file.size or 0) for file in call.workspace.files()]
    return [*(FileEntry(path=path, size=size) for path, size in there), *inputs]


@tool(risk=Risk.MEDIUM, effect=Effect.IDEMPOTENT, timeout=60, local=True, destinations=())
async def run_python(path: ProjectPath, *, call: ToolContext[CodeSettings]) -> RunOutcome:
    """Run a Python file of the project in a sandbox: no network, only the project and inputs/, 20 s, 512 MB."""
    return await _run(Path(path).name, await _source(path, call), call)


@tool(risk=Risk.MEDIUM, effect=Effect.IDEMPOTENT, timeout=60, local=True, destinations=())
async def run_tests(path: ProjectPath, *, call: ToolContext[CodeSettings]) -> RunOutcome:
    """Run each function `test_…` of a Python file in the sandbox; each prints PASS or FAIL, exit_code 0: all passed."""
    source = await _apart(runnable, path, await _source(path, call))
    return await _run(Path(path).name, source, call)


@tool(risk=Risk.LOW, effect=Effect.IDEMPOTENT, destinations=())
async def keep_file(path: ProjectPath, media_type: MediaType = "text/plain", *, call: ToolContext) -> Artefact:
    """Keep a file of the project as a result for the caller."""
    return await call.workspace.save(Path(path).name, await _content(path, call), media_type)


async def _apart(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Run blocking work outside of the event loop, a few calls at once."""
    return await asyncio.get_running_loop().run_in_executor(_FILES, partial(function, *args, **kwargs))


async def _run(name: str, source: str, call: ToolContext[CodeSettings]) -> RunOutcome:
    folder = await _project(call)
    inputs = call.workspace.folder / "no-inputs"
    await asyncio.to_thread(inputs.mkdir, exist_ok=True)
    missing = ""
    for file in call.workspace.files():
        try:
            inputs = (await call.workspace.path(file.name)).parent
        except ToolError as unreadable:
            missing += f"\nnot below inputs/: {unreadable}"
    outcome = await sandbox.run(Program(name, source, folder, inputs), call.settings.sandbox)
    return outcome.model_copy(update={"stderr": outcome.stderr + missing[:2_000]})


async def _project(call: ToolContext) -> Path:
    """The project's folder, with the place where programs see the inputs."""
    folder = call.workspace.folder / "project"
    await asyncio.to_thread((folder / "inputs").mkdir, parents=True, exist_ok=True)
    return folder


async def _source(path: str, call: ToolContext) -> str:
    try:
        return (await _content(path, call)).decode()
    except UnicodeDecodeError:
        action = "write it as UTF-8 text"
        raise ToolError("not_text", f"`{path}` is not UTF-8 text", suggested_action=action) from None


async def _content(path: str, call: ToolContext) -> bytes:
    """Return the bytes of a file of the project, or of one below inputs/."""
    if _inside(path)[0] == "inputs":
        file = await call.workspace.path(path.removeprefix("inputs/"))
        return await _apart(project.read, file.parent, file.name)
    return await _apart(project.read, await _project(call), path)


def _part(content: bytes, offset: int, limit: int) -> tuple[str, bool]:
    text = content.decode(errors="replace")
    return text[offset : offset + limit], offset + limit < len(text)


def _inside(path: str) -> list[str]:
    """Return the path's parts. Raises ToolError `outside_project`."""
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        action = "use a path in the project, such as `main.py`"
        raise ToolError("outside_project", f"`{path}` is not inside the project", suggested_action=action)
    return parts
