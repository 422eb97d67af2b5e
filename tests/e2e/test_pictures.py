"""Pictures of the console for the documentation, taken of a real swarm that has done the demo's task.

`pytest tests/e2e/test_pictures.py --pictures` takes them again; otherwise only what is there is checked.
"""

import asyncio
import io
import os
import re
import shutil
from pathlib import Path

import httpx
import pytest
from PIL import Image

from infra.demo import sample
from tests.conftest import started
from tests.e2e.test_approvals import asked_by
from tests.support.swarm import result_of, submit

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "images"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

MOST_BYTES = 1_000_000
"""Bytes of all pictures: they are part of every clone."""

COLOURS = 128
WIDTH, HEIGHT = 1280, 860

TAKEN = {
    "overview.png": "/",
    "inbox.png": "/inbox",
    "run.png": "/runs/{run}",
    "plan.png": "/runs/{run} Plan",
}
"""Pictures by the pages that they show, from a heading on if one is named."""

VARIANTS = {
    "plan-dark.png": ("/runs/{run} Plan", {"color_scheme": "dark"}, WIDTH),
    "inbox-narrow.png": ("/inbox", {}, 390),
}


def test_the_pictures_of_the_documentation_are_there_and_small():
    found = {path.name: path.stat().st_size for path in PICTURES.iterdir()}
    assert set(found) == {*TAKEN, *VARIANTS}
    assert sum(found.values()) <= MOST_BYTES
    for name in found:
        with Image.open(PICTURES / name) as picture:
            picture.verify()
            assert picture.width in {WIDTH, 390}


def test_every_picture_is_shown_by_a_page_with_its_description():
    pages = "\n".join(path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    shown = dict(re.findall(r"!\[([^\]]+)\]\((?:docs/)?images/([\w-]+\.png)\)", pages))
    assert {*shown.values()} == {*TAKEN, *VARIANTS}
    assert all(len(description) > 20 for description in shown)
    assert re.search(r"!\[[^\]]+\]\(docs/images/", (ROOT / "README.md").read_text())


@pytest.mark.skipif("not config.getoption('pictures')", reason="the pictures are taken with --pictures alone")
async def test_the_pictures_are_taken_of_a_swarm_at_work(kafka, model, tmp_path):
    sample.generate(tmp_path, seed=7)
    environment = os.environ | {
        "WAGGLE_KAFKA": kafka,
        "OPENAI_BASE_URL": f"{model}/v1",
        "OPENAI_API_KEY": "simulated",
        "WAGGLE_DOCUMENTS": str(tmp_path / "runbooks"),
    }
    async with started(tmp_path / "stack", environment) as stack:
        async with httpx.AsyncClient(base_url=stack.endpoints["WAGGLE_GATEWAY"], timeout=60) as gateway:
            run = await _work(gateway, tmp_path / "orders.csv")
        await _take(stack.endpoints["WAGGLE_CONSOLE_URL"], run)
    assert sum(path.stat().st_size for path in PICTURES.iterdir()) <= MOST_BYTES


async def _work(gateway, orders: Path) -> str:
    """The id of the demo's run, among others that have ended, that wait and that were stopped."""
    uploaded = await gateway.post("/v1/files?name=orders.csv", content=orders.read_bytes())
    attachments = {"attachments": [uploaded.json()]}
    budget = {"seconds": 600, "tool_calls": 80}
    run = await submit(gateway, sample.TASK, context=attachments, budget=budget)
    many = ", ".join(f"customer{number}@example.org" for number in range(6))
    waiting = [
        await submit(gateway, f"Write a short apology for the failed orders and mail it to {many}"),
        await submit(gateway, f"Write a short note on the new runbook and mail it to {many}"),
    ]
    for each in waiting:
        await asked_by(gateway, each)
    await result_of(gateway, run)
    paused = await submit(gateway, f"Write a short note on refunds and mail it to {many}")
    await asked_by(gateway, paused)
    await gateway.post(f"/v1/runs/{paused}/pause", json={"by": "ops", "reason": "wait for the legal department"})
    await asyncio.sleep(2)
    return run


async def _take(console: str, run: str) -> None:
    playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
    PICTURES.mkdir(exist_ok=True)
    plain = {name: (path, {}, WIDTH) for name, path in TAKEN.items()}
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for name, (path, options, width) in (plain | VARIANTS).items():
            page = await browser.new_page(viewport={"width": width, "height": HEIGHT}, **options)
            address, _, heading = path.partition(" ")
            await page.goto(console + address.format(run=run))
            if heading:
                await page.get_by_role("heading", name=heading, exact=True).evaluate("it => it.scrollIntoView()")
            _keep(await page.screenshot(), PICTURES / name)
            await page.close()
        await browser.close()


def _keep(picture: bytes, path: Path) -> None:
    """Write the picture with few colours."""
    with Image.open(io.BytesIO(picture)) as opened:
        opened.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
