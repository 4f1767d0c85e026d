"""Takes the README's picture of an exam: `.venv/bin/python -m tests.picture docs/exam.png`."""

import asyncio
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playwright.async_api import async_playwright

from tools.demo import delivered, raise_curtain
from tools.people import Vitals
from tools.stage import Stage
from tools.visit import visit

CHROMIUM = "/usr/bin/chromium"
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


class Pictured(Stage):
    """A stage that photographs the page before its exam is closed."""

    target = Path("exam.png")

    async def post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        if path.endswith("/close"):
            await self.until(lambda: delivered(self), "the outbox did not empty")
            await photograph(self.url, self.target)
        return await super().post(path, body)


async def photograph(url: str, target: Path) -> None:
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        page = await browser.new_page(viewport={"width": 1024, "height": 600})
        await page.goto(url)
        await page.wait_for_selector("text=/\\d+\\/\\d+/")
        await page.screenshot(path=target)
        await browser.close()


async def main(target: Path) -> None:
    with tempfile.TemporaryDirectory() as home:
        async with Pictured(Path(home)) as stage:
            stage.target = target
            await raise_curtain(stage, print)
            await visit(stage, 71, Vitals(11))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
