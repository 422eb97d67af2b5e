"""What the code agent acts with: write files, run and test them in the sandbox, keep what came out."""

import asyncio
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from schemas.task import Artefact
from services.code import sandbox
from services.code.sandbox import Program, RunOutcome
from services.code.testing import runnable
from shared.tools import Effect, Risk, ToolCall, ToolError, tool

MOST_FILES = 100
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
    """A file there is; those below `inputs/` can only be read."""

    path: str
    size: int


@tool(risk=Risk.LOW, effect=Effect.IDEMPOTENT, local=True, destinations=())
async def write_file(
    path: ProjectPath, content: Annotated[str, Field(max_length=200_000)], *, call: ToolCall
) -> WrittenFile:
    """Write a file of the project, replacing what was there."""
    project = await _project(call)
    target = _inside(project, path)
    if target.relative_to(project).parts[0] == "inputs":
        action = "write it elsewhere in the project"
        raise ToolError("read_only", "files below inputs/ can only be read", suggested_action=action)
    if not target.exists() and len(_entries(project)) >= MOST_FILES:
        action = "write into a file there is"
        raise ToolError("too_many_files", f"a project has at most {MOST_FILES} files", suggested_action=action)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(content)
    return WrittenFile(path=path, size=len(content.encode()))


@tool(risk=Risk.LOW, effect=Effect.READ, destinations=())
async def read_file(
    path: ProjectPath,
    offset: Annotated[int, Field(ge=0)] = 0,
    limit: Annotated[int, Field(ge=1, le=20_000)] = 6_000,
    *,
    call: ToolCall,
) -> FileText:
    """Read a text file of the project or below inputs/."""
    text = (await _file(path, call)).read_text(errors="replace")
    end = offset + limit
    return FileText(path=path, text=text[offset:end], offset=offset, next_offset=end if end < len(text) else None)


@tool(risk=Risk.LOW, effect=Effect.READ, destinations=())
async def list_files(*, call: ToolCall) -> list[FileEntry]:
    """List the files of the project and those below inputs/."""
    project = await _project(call)
    inputs = [FileEntry(path=f"inputs/{file.name}", size=file.size or 0) for file in call.workspace.files()]
    return [*_entries(project), *inputs]


@tool(risk=Risk.MEDIUM, effect=Effect.IDEMPOTENT, timeout=60, local=True, destinations=())
async def run_python(path: ProjectPath, *, call: ToolCall) -> RunOutcome:
    """Run a Python file of the project in a sandbox: no network, only the project and inputs/, 20 s, 512 MB."""
    source = (await _file(path, call)).read_text()
    return await _run(Path(path).name, source, call)


@tool(risk=Risk.MEDIUM, effect=Effect.IDEMPOTENT, timeout=60, local=True, destinations=())
async def run_tests(path: ProjectPath, *, call: ToolCall) -> RunOutcome:
    """Run each function `test_…` of a Python file in the sandbox; each prints PASS or FAIL, exit_code 0: all passed."""
    source = runnable(path, (await _file(path, call)).read_text())
    return await _run(Path(path).name, source, call)


@tool(risk=Risk.LOW, effect=Effect.IDEMPOTENT, destinations=())
async def keep_file(path: ProjectPath, media_type: str = "text/plain", *, call: ToolCall) -> Artefact:
    """Keep a file of the project as a result the caller gets."""
    target = await _file(path, call)
    return await call.workspace.save(target.name, target.read_bytes(), media_type)


async def _run(name: str, source: str, call: ToolCall) -> RunOutcome:
    project = await _project(call)
    inputs = call.workspace.folder / "no-inputs"
    await asyncio.to_thread(inputs.mkdir, exist_ok=True)
    for file in call.workspace.files():
        inputs = (await call.workspace.path(file.name)).parent
    return await sandbox.run(Program(name, source, project, inputs), call.settings.sandbox)


async def _project(call: ToolCall) -> Path:
    """The project's folder, with the place where inputs are shown to programs."""
    project = call.workspace.folder / "project"
    await asyncio.to_thread((project / "inputs").mkdir, parents=True, exist_ok=True)
    return project.resolve()


async def _file(path: str, call: ToolCall) -> Path:
    if path.startswith("inputs/"):
        return await call.workspace.path(path.removeprefix("inputs/"))
    project = await _project(call)
    target = _inside(project, path)
    if not target.is_file():
        there = ", ".join(entry.path for entry in _entries(project)) or "none"
        message = f"there is no file `{path}` in the project; there are: {there}"
        raise ToolError("unknown_file", message, suggested_action="use one of them, or write it first")
    return target


def _inside(project: Path, path: str) -> Path:
    target = (project / path).resolve()
    if not target.is_relative_to(project) or target == project:
        action = "use a path in the project, such as `main.py`"
        raise ToolError("outside_project", f"`{path}` is not inside the project", suggested_action=action)
    return target


def _entries(project: Path) -> list[FileEntry]:
    files = sorted(path for path in project.rglob("*") if path.is_file() and not path.is_symlink())
    return [FileEntry(path=str(path.relative_to(project)), size=path.stat().st_size) for path in files]
