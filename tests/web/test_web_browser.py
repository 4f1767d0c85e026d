"""The page in a real browser: values arrive by themselves, the keyboard is enough, it fits a small screen."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

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
pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser, live: Live) -> Iterator[Page]:
    """A page of 1024x600 that fails the test on any console error."""
    opened = chromium.new_page(viewport=SCREEN, base_url=live.url)
    errors: list[str] = []
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    opened.close()
    assert errors == []


def opened(page: Page, name: str = "张三丰") -> None:
    """Open a person with the keyboard alone."""
    page.goto("/")
    expect(page.locator("#number")).to_be_focused()
    page.keyboard.type(NUMBER)
    page.keyboard.press("Tab")
    page.keyboard.insert_text(name)
    page.keyboard.press("Tab")
    page.keyboard.insert_text("李")
    page.keyboard.press("Enter")
    expect(page.locator("header h1")).to_have_text("张*丰")


@pytest.mark.parametrize(("language", "recorded"), [("zh-CN", "已记录"), ("en", "Recorded")])
def test_values_appear_without_a_reload(live: Live, page: Page, language: str, recorded: str):
    page.goto(f"/language/{language}")
    opened(page)
    page.evaluate("window.same = true")
    live.report("bp-1", pressure())
    expect(page.locator("#card-blood_pressure .value")).to_contain_text("152/94")
    expect(page.locator("#card-blood_pressure .said")).to_contain_text(recorded)
    live.report("glu-1", reading(Kind.GLUCOSE, {"glucose": ("5.60", "mmol/L")}))
    expect(page.locator("#card-glucose .value")).to_contain_text("5.60")
    live.report("hw-1", body())
    expect(page.locator("#card-body_size .value")).to_contain_text("24.7")
    assert page.evaluate("window.same")
    assert not page.evaluate(SCROLLS)
    assert page.locator("html").get_attribute("lang") == language


def test_the_keyboard_alone_opens_finishes_and_walks(live: Live, page: Page):
    opened(page)
    for key, address in (("F5", "/tray"), ("F10", "/devices"), ("F2", "/person"), ("F9", "/")):
        page.wait_for_load_state()
        page.keyboard.press(key)
        expect(page).to_have_url(live.url + address)
    page.wait_for_load_state()
    page.keyboard.press("F12")
    expect(page.locator("#number")).to_be_focused()
    assert live.gateway.journal.queries.exams() == []


def test_the_start_button_keeps_focus_while_values_arrive(live: Live, page: Page):
    opened(page)
    live.report("bp-1", pressure())
    start = page.locator("#start_blood_pressure-bp-1")
    start.focus()
    live.report("hw-1", body())
    expect(page.locator("#card-body_size .value")).to_contain_text("24.7")
    expect(start).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("header h1")).to_have_text("张*丰")
    assert live.station("bp-1").orders.get_nowait().name == "start_blood_pressure"


def test_what_somebody_types_is_never_taken_away(live: Live, page: Page):
    live.report("bp-1", pressure())
    with live.client() as client:
        live.open(client)
    page.goto("/tray")
    reason = page.locator("[name=reason]")
    reason.fill("named on the slip")
    live.report("hw-1", body())
    live.report("bp-1", pressure("121"))
    expect(page.locator("#bar")).to_contain_text("1")
    expect(reason).to_have_value("named on the slip")


def test_the_tray_binds_with_the_mouse(live: Live, page: Page):
    live.report("bp-1", pressure())
    opened(page)
    page.click("#to-tray")
    page.fill("[name=reason]", "条子上写着")
    page.click("[id^=bind-]")
    expect(page.locator(".none")).to_be_visible()
    page.click("#to-exam")
    expect(page.locator("#card-blood_pressure .value")).to_contain_text("152/94")


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_the_fullest_exam_fits_the_screen(live: Live, page: Page, language: str):
    """Two people open, a machine measuring, nobody signed in yet: all that can stand there does."""
    page.goto(f"/language/{language}")
    with live.client() as client:
        exam = live.open(client)
        live.report("bp-1", pressure())
        live.report("hw-1", body())
        live.report("glu-1", reading(Kind.GLUCOSE, {"glucose": ("5.60", "mmol/L")}))
        live.open(client, OTHER)
    page.goto(f"/?exam={exam}")
    expect(page.locator("#point-bp-1")).to_be_visible()
    expect(page.locator("#operator-exam")).to_be_visible()
    assert not page.evaluate(SCROLLS)


def test_enter_in_the_operators_field_starts_nothing(live: Live, page: Page):
    live.report("bp-1", pressure())
    with live.client() as client:
        exam = live.open(client)
    page.goto(f"/?exam={exam}")
    page.fill("#operator-exam", "li")
    page.keyboard.press("Enter")
    page.keyboard.press("F10")
    expect(page).to_have_url(f"{live.url}/devices")
    assert live.station("bp-1").orders.empty()
    assert live.gateway.journal.queries.exam(exam).closed is None


def test_nothing_scrolls_sideways_on_a_phone(live: Live, page: Page):
    opened(page)
    live.report("bp-1", pressure())
    live.report("bp-1", reading(Kind.BLOOD_PRESSURE, {}, failed="movement"))
    page.set_viewport_size(PHONE)
    for address in ("/", "/person", "/tray", "/devices", "/outbox"):
        page.goto(address)
        assert not page.evaluate(WIDER), address


def test_a_page_left_open_comes_back_after_the_gateway_did(tmp_path: Path, chromium: Browser):
    with Live(tmp_path) as first:
        page = chromium.new_page(base_url=first.url)
        page.goto("/")
        expect(page.locator("#link")).to_be_hidden()
        first.stop()
        expect(page.locator("#link")).to_be_visible()
        port = int(first.url.rpartition(":")[2])
    with Live(tmp_path, port=port) as second, second.client() as client:
        second.open(client)
        expect(page.locator("header h1")).to_have_text("张*丰", timeout=15_000)
        expect(page.locator("#link")).to_be_hidden()
        page.close()


def picture(folder: Path, chromium: Browser, size: dict[str, int], path: Path) -> None:
    """Save a picture of the exam page with the impossible person's values, for the README."""
    with Live(folder) as live:
        page = chromium.new_page(viewport=size, base_url=live.url)
        opened(page)
        live.report("bp-1", pressure())
        live.report("hw-1", body())
        expect(page.locator("#card-body_size .value")).to_contain_text("24.7")
        page.evaluate("document.activeElement.blur()")
        page.screenshot(path=path)
        page.close()


def test_the_picture_can_be_taken(tmp_path: Path, chromium: Browser):
    path = tmp_path / "page.png"
    picture(tmp_path, chromium, SCREEN, path)
    assert path.read_bytes().startswith(b"\x89PNG")
