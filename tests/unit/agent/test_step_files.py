"""A step's files: kept under names that every folder takes, found by those and by their own, removed for good."""

import os

import pytest

from schemas.step import DoStep
from schemas.task import Attachment, TaskContext
from shared.agent.workspace import StepWorkspace
from shared.config import Settings
from shared.tools import ToolError

LONG = "二〇二五年十一月全国销售订单明细汇总表" * 8 + ".csv"


class Journal:
    """Artefacts of a step: none yet."""

    def entries(self):
        return {}


def workspace(*attachments):
    handoff = DoStep.model_construct(
        tenant="default", inputs=[], context=TaskContext(attachments=list(attachments)), run_id="r"
    )
    return StepWorkspace(handoff, None, Journal(), Settings())


@pytest.mark.parametrize("name", [LONG, "a\nb.csv", "plain.csv", "x" * 200, "." + "y" * 199])
async def test_a_file_of_any_name_is_read_and_keeps_what_is_behind_its_dot(name):
    files = workspace(Attachment(name=name, text="a\n1\n"), Attachment(name="other.csv", text="b\n2\n"))
    try:
        path = await files.path(name)
        assert path.read_text() == "a\n1\n"
        assert len(os.fsencode(path.name)) <= 255
        assert path.suffix == ".csv" or not name.endswith(".csv")
        assert await files.path(path.name) == path
        assert (await files.path("other.csv")).read_text() == "b\n2\n"
        with pytest.raises(ToolError):
            await files.path("missing.csv")
    finally:
        await files.close()


async def test_a_folder_that_a_program_nested_without_end_is_removed_all_the_same():
    files = workspace()
    place = os.open(files.folder, os.O_RDONLY)
    for _ in range(1_500):
        os.mkdir("d", dir_fd=place)
        inner = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)
    root = files.folder.parent
    await files.close()
    assert not root.exists()
