"""The files of one step: loaded from the archive on demand, saved to it when made."""

import asyncio
import tempfile
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from schemas.message import media_type_or_unknown
from schemas.step import Handoff
from schemas.task import Artefact, Attachment
from shared.archive import BlobStore
from shared.blackboard import Journal
from shared.config import Settings
from shared.errors import TerminalError
from shared.guardrails import sanitised
from shared.system.files import local_name, remove_tree
from shared.tools import WITHOUT_IT, ToolError
from shared.tools.web.client import GuardedClient

_ARTEFACT = "artefact:"


class StepWorkspace:
    """Implements `shared.tools.Workspace` for one handoff."""

    def __init__(self, handoff: Handoff, archive: BlobStore, journal: Journal, settings: Settings) -> None:
        self._root: Path | None = None
        self._handoff = handoff
        self._archive = archive
        self._journal = journal
        self._settings = settings

    @property
    def folder(self) -> Path:
        """An empty folder of this step. Made on first use, as most steps need none."""
        return self._place("work")

    async def close(self) -> None:
        """Remove the local files."""
        root, self._root = self._root, None
        if root is not None:
            await asyncio.to_thread(remove_tree, root)

    @property
    def made(self) -> list[Artefact]:
        """Artefacts that this step has saved, in this delivery or an earlier one."""
        entries = self._journal.entries()
        kept = [entry for name, entry in entries.items() if name.startswith(_ARTEFACT) and entry is not None]
        return [Artefact.model_validate(entry) for entry in kept]

    def files(self) -> Sequence[Attachment | Artefact]:
        """Return the files of earlier turns, attachments, artefacts of earlier steps and of this one.

        Of each name it is the latest.
        """
        turns = self._handoff.conversation.turns if self._handoff.conversation else []
        before = [artefact for turn in turns for artefact in turn.artefacts]
        earlier = [artefact for each in self._handoff.inputs for artefact in each.output.artefacts]
        everything: list[Attachment | Artefact] = [*before, *self._handoff.context.attachments, *earlier, *self.made]
        return list({file.name: file for file in everything}.values())

    async def path(self, name: str) -> Path:
        """Return the local path of a file, written as a regular file under its `local_name`.

        `name`: its own name or its local name. Raises ToolError `unknown_file`, and ArchiveUnavailable.
        """
        file = next((each for each in self.files() if name in _names(each.name)), None)
        if file is None:
            raise self._unknown(name)
        path = self._place("files") / local_name(file.name)
        if not path.exists():
            await asyncio.to_thread(path.write_bytes, await self._content(file))
        return path

    async def save(self, name: str, content: bytes, media_type: str) -> Artefact:
        """Save a file to the archive. An invalid media type is replaced by the unknown one.

        Raises ToolError `too_large` or `bad_name`, and ArchiveUnavailable.
        """
        if "/" in name or not name.strip() or name.startswith("."):
            raise ToolError("bad_name", f"`{name}` is no plain file name", suggested_action="leave folders out")
        media_type = media_type_or_unknown(media_type)
        try:
            uri = await self._archive.put(self._handoff.tenant, content, media_type)
        except TerminalError as refused:
            raise ToolError(
                refused.code, str(refused), suggested_action="save less, or split it into several files"
            ) from refused
        artefact = Artefact(name=name, media_type=media_type, size=len(content), uri=uri)
        await self._journal.write(_ARTEFACT + name, artefact.model_dump(mode="json"))
        await asyncio.to_thread((self._place("files") / local_name(name)).write_bytes, content)
        return artefact

    def _place(self, name: str) -> Path:
        if self._root is None:
            self._root = Path(tempfile.mkdtemp(prefix="waggle-"))
        place = self._root / name
        place.mkdir(exist_ok=True)
        return place

    async def _content(self, file: Attachment | Artefact) -> bytes:
        if isinstance(file, Attachment) and file.text is not None:
            return file.text.encode(errors="replace")
        uri = file.uri or ""
        if uri.startswith(("http://", "https://")):
            fetched = await GuardedClient(self._settings.fetch_allow).get(uri)
            return fetched.body
        blob = await self._archive.get(self._handoff.tenant, uri)
        if blob is None:
            message = f"the archive does not hold `{file.name}` ({uri})"
            raise ToolError("missing_content", message, suggested_action=WITHOUT_IT)
        return blob.content

    def _unknown(self, name: str) -> ToolError:
        names = [file.name for file in self.files()]
        near = get_close_matches(name, names, n=1)
        available = ", ".join(names) or "none"
        hint = f"did you mean `{near[0]}`?" if near else "use one of the available files"
        return ToolError("unknown_file", f"there is no file `{name}`; there are: {available}", suggested_action=hint)


def _names(name: str) -> tuple[str, ...]:
    return name, sanitised(name), local_name(name)
