"""The page in a real browser: values arrive by themselves, the keyboard is enough, it fits a small screen."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from protocol.readings import Kind
from tests.web.live import OTHER, PERSON, Live, body, pressure, reading

NUMBER = PERSON["identifiers"][0]["value"]
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
SCREEN = {"width": 1024, "height": 600}
PHONE = {"width": 360, "height": 640}
SCROLLS = (
    "document.documentElement.scrollHeight > innerHeight || document.documentElement.scrollWidth > innerWidth"
)
WIDER = "document.documentElement.scrollWidth > innerWidth"
pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Browser]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(chromium: Browser, live: Live) -> AsyncIterator[Page]:
    """A page of 1024x600 that fails the test on any console error."""
    opened = await chromium.new_page(viewport=SCREEN, base_url=live.url)
    errors: list[str] = []
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    await opened.close()
    assert errors == []


async def opened(page: Page, name: str = "张三丰") -> None:
    """Open a person with the keyboard alone."""
    await page.goto("/")
    await expect(page.locator("#number")).to_be_focused()
    await page.keyboard.type(NUMBER)
    await page.keyboard.press("Tab")
    await page.keyboard.insert_text(name)
    await page.keyboard.press("Tab")
    await page.keyboard.insert_text("李")
    await page.keyboard.press("Enter")
    await expect(page.locator("header h1")).to_have_text("张*丰")


@pytest.mark.parametrize(("language", "word"), [("zh-CN", "偏高"), ("en", "High")])
async def test_values_appear_without_a_reload(live: Live, page: Page, language: str, word: str):
    await page.goto(f"/language/{language}")
    await opened(page)
    await page.evaluate("window.same = true")
    live.report("bp-1", pressure())
    await expect(page.locator("#card-blood_pressure .value")).to_contain_text("152/94")
    await expect(page.locator("#card-blood_pressure .said")).to_contain_text(word)
    live.report("glu-1", reading(Kind.GLUCOSE, {"glucose": ("5.60", "mmol/L")}))
    await expect(page.locator("#card-glucose .value")).to_contain_text("5.60")
    live.report("hw-1", body())
    await expect(page.locator("#card-body_size .value")).to_contain_text("24.7")
    assert await page.evaluate("window.same")
    assert not await page.evaluate(SCROLLS)
    assert await page.locator("html").get_attribute("lang") == language


async def test_the_keyboard_alone_opens_finishes_and_walks(live: Live, page: Page):
    await opened(page)
    for key, address in (("F5", "/tray"), ("F10", "/devices"), ("F2", "/person"), ("F9", "/")):
        await page.wait_for_load_state()
        await page.keyboard.press(key)
        await expect(page).to_have_url(live.url + address)
    await page.wait_for_load_state()
    await page.keyboard.press("F12")
    await expect(page.locator("#number")).to_be_focused()
    assert live.gateway.journal.queries.exams() == []


async def test_the_start_button_keeps_focus_while_values_arrive(live: Live, page: Page):
    await opened(page)
    live.report("bp-1", pressure())
    start = page.locator("#start_blood_pressure-bp-1")
    await start.focus()
    live.report("hw-1", body())
    await expect(page.locator("#card-body_size .value")).to_contain_text("24.7")
    await expect(start).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("header h1")).to_have_text("张*丰")
    assert live.station("bp-1").orders.get_nowait().name == "start_blood_pressure"


async def test_what_somebody_types_is_never_taken_away(live: Live, page: Page):
    live.report("bp-1", pressure())
    with live.client() as client:
        live.open(client)
    await page.goto("/tray")
    reason = page.locator("[name=reason]")
    await reason.fill("named on the slip")
    live.report("hw-1", body())
    live.report("bp-1", pressure("121"))
    await expect(page.locator("#bar")).to_contain_text("1")
    await expect(reason).to_have_value("named on the slip")


async def test_the_tray_binds_with_the_mouse(live: Live, page: Page):
    live.report("bp-1", pressure())
    await opened(page)
    await page.click("#to-tray")
    await page.fill("[name=reason]", "条子上写着")
    await page.click("[id^=bind-]")
    await expect(page.locator(".none")).to_be_visible()
    await page.click("#to-exam")
    await expect(page.locator("#card-blood_pressure .value")).to_contain_text("152/94")


@pytest.mark.parametrize("language", ["zh-CN", "en"])
async def test_the_fullest_exam_fits_the_screen(live: Live, page: Page, language: str):
    """Two people open, a machine measuring, nobody signed in yet: all that can stand there does."""
    await page.goto(f"/language/{language}")
    with live.client() as client:
        exam = live.open(client)
        live.report("bp-1", pressure())
        live.report("hw-1", body())
        live.report("glu-1", reading(Kind.GLUCOSE, {"glucose": ("5.60", "mmol/L")}))
        live.open(client, OTHER)
    await page.goto(f"/?exam={exam}")
    await expect(page.locator("#point-bp-1")).to_be_visible()
    await expect(page.locator("#operator-exam")).to_be_visible()
    assert not await page.evaluate(SCROLLS)


async def test_enter_in_the_operators_field_starts_nothing(live: Live, page: Page):
    live.report("bp-1", pressure())
    with live.client() as client:
        exam = live.open(client)
    await page.goto(f"/?exam={exam}")
    await page.fill("#operator-exam", "li")
    await page.keyboard.press("Enter")
    await page.keyboard.press("F10")
    await expect(page).to_have_url(f"{live.url}/devices")
    assert live.station("bp-1").orders.empty()
    assert live.gateway.journal.queries.exam(exam).closed is None


async def test_nothing_scrolls_sideways_on_a_phone(live: Live, page: Page):
    await opened(page)
    live.report("bp-1", pressure())
    live.report("bp-1", reading(Kind.BLOOD_PRESSURE, {}, failed="movement"))
    await page.set_viewport_size(PHONE)
    for address in ("/", "/person", "/tray", "/devices", "/outbox"):
        await page.goto(address)
        assert not await page.evaluate(WIDER), address


async def test_a_page_left_open_comes_back_after_the_gateway_did(tmp_path: Path, chromium: Browser):
    with Live(tmp_path) as first:
        page = await chromium.new_page(base_url=first.url)
        await page.goto("/")
        await expect(page.locator("#link")).to_be_hidden()
        first.stop()
        await expect(page.locator("#link")).to_be_visible()
        port = int(first.url.rpartition(":")[2])
    with Live(tmp_path, port=port) as second, second.client() as client:
        second.open(client)
        await expect(page.locator("header h1")).to_have_text("张*丰", timeout=15_000)
        await expect(page.locator("#link")).to_be_hidden()
        await page.close()
