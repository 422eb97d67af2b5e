"""A workspace in a folder, for tools that are tested without an agent around them."""

from pathlib import Path

from schemas.task import Artefact, Attachment
from shared.config import ServiceSettings
from shared.tools import ToolContext, ToolError


class FolderWorkspace:
    """Implements `shared.tools.Workspace` on two folders."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "work"
        self.inputs = root / "inputs"
        self.folder.mkdir(parents=True)
        self.inputs.mkdir()

    def files(self) -> list[Attachment]:
        return [Attachment(name=path.name, uri=f"blob:{path.name}") for path in sorted(self.inputs.iterdir())]

    async def path(self, name: str) -> Path:
        if not (self.inputs / name).exists():
            raise ToolError("unknown_file", f"there is no file {name}")
        return self.inputs / name

    async def save(self, name: str, content: bytes, media_type: str) -> Artefact:
        (self.inputs / name).write_bytes(content)
        return Artefact(name=name, media_type=media_type, size=len(content), uri=f"blob:{name}")


def call_in(root: Path, settings: ServiceSettings | None = None) -> ToolContext:
    """A call whose files are those in `root / "inputs"`."""
    return ToolContext(
        run_id="run-1",
        step_id="s",
        call_id="c",
        idempotency_key="run-1/s/c",
        epoch=1,
        tenant="default",
        workspace=FolderWorkspace(root),
        settings=settings or ServiceSettings(),
    )
