"""Correcting a value and reading who did what, on the page: with forms alone, and in a real browser."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright, expect

from gateway.web.audit_view import WHATS
from store.audit import Wanted
from tests.web.live import DEADLINE_S, OTHER, PERSON, Live, body, pressure
from tests.web.test_web_browser import PHONE, QUIET, SCREEN, SCROLLS, WIDER
from tests.web.test_web_pages import words

NEXT_FRAME = "new Promise(requestAnimationFrame)"
NUMBER = PERSON["identifiers"][0]["value"]


@pytest.fixture
def browser(live: Live) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=live.url, follow_redirects=True, timeout=DEADLINE_S) as client:
        client.get("/language/en").raise_for_status()
        yield client


@pytest_asyncio.fixture
async def page(live: Live) -> AsyncIterator[Page]:
    """A page of 1024x600 that fails the test on any error of a script."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=path, args=list(QUIET))
        opened = await chromium.new_page(viewport=SCREEN, base_url=live.url)
        errors: list[str] = []
        opened.on("pageerror", lambda error: errors.append(str(error)))
        yield opened
        await chromium.close()
    assert errors == []


def values(live: Live, exam: str) -> list[dict[str, str]]:
    found = live.gateway.journal.queries.exam_measurements(exam)
    return [{name: value.value for name, value in one.values.items()} for one in found]


@pytest.mark.xdist_group("browser")
@pytest.mark.parametrize("language", ["zh-CN", "en"])
async def test_a_value_is_corrected_with_the_keyboard_and_shown_as_such(
    live: Live, page: Page, language: str
) -> None:
    await page.goto(f"/language/{language}")
    with live.client() as client:
        exam = live.open(client)
    live.report("bp-1", pressure("152", "94"))
    await page.goto(f"/?exam={exam}")
    await page.click("#card-blood_pressure .change")
    await page.fill("#value-systolic", "12")
    await page.fill("#why-corrected", "看错了")
    await page.fill("#operator-correct", "王")
    await page.keyboard.press("Enter")
    await expect(page.locator(".notice")).to_be_visible()  # below the diastolic: refused
    await expect(page.locator("#value-systolic")).to_have_value("12")
    await expect(page.locator("#why-corrected")).to_have_value("看错了")
    assert values(live, exam)[0]["systolic"] == "152"
    await page.fill("#value-systolic", "125")
    if await page.locator("#operator-correct").count():
        await page.fill("#operator-correct", "王")
    await page.press("#value-systolic", "Enter")
    card = page.locator("#card-blood_pressure")
    await expect(card.locator(".value")).to_contain_text("125/94")
    await expect(card).to_contain_text("152 mmHg")
    async with asyncio.timeout(DEADLINE_S):  # the page's own policy forbids `wait_for_function`
        while await page.evaluate(SCROLLS):
            await page.evaluate(NEXT_FRAME)
    [entry], _, _ = live.gateway.journal.queries.audit(Wanted(what="corrected"))
    assert (entry.who, entry.reason) == ("王", "看错了")


@pytest.mark.xdist_group("browser")
async def test_somebody_else_was_measured(live: Live, page: Page) -> None:
    with live.client() as client:
        first, second = live.open(client), live.open(client, OTHER)
        point = {"exam": first, "operator": "li"}
        client.post("/v1/devices/bp-1/point", json=point).raise_for_status()
    live.report("bp-1", pressure("152", "94"))
    await page.goto(f"/?exam={first}")
    await page.click("#card-blood_pressure .change")
    await page.select_option("#exam-of", second)
    await page.fill("#why-bound", "names mixed up")
    await page.fill("#operator-bind", "wang")
    await page.click("#bind")
    await expect(page).to_have_url(f"{live.url}/?exam={first}")
    assert [one["systolic"] for one in values(live, second)] == ["152"]


@pytest.mark.xdist_group("browser")
async def test_the_table_of_who_did_what_filters_and_fits_a_phone(live: Live, page: Page) -> None:
    with live.client() as client:
        exam = live.open(client)
        live.open(client, OTHER)
        client.post(f"/v1/exams/{exam}/close", json={"operator": "wang"}).raise_for_status()
    await page.goto("/devices")
    await page.click("#to-audit")
    await expect(page.locator("tbody tr")).to_have_count(3)
    await page.fill("#who", "wang")
    await page.click("#filter")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.fill("#who", "")
    await page.check("#names")
    await page.click("#filter")
    await page.click("tbody tr:last-child a")
    await expect(page.locator("tbody")).to_contain_text("张*丰")
    await expect(page.locator("tbody tr")).to_have_count(2)
    await page.set_viewport_size(PHONE)
    assert not await page.evaluate(WIDER)


def test_the_pages_name_nobody_whole_and_every_word_is_there(live: Live, browser: httpx2.Client) -> None:
    exam = live.open(browser)
    live.report("bp-1", pressure())
    live.report("hw-1", body())
    [pressures, _] = live.gateway.journal.queries.exam_measurements(exam)
    for address in (f"/change?measurement={pressures.id}", "/audit", "/audit?names=yes&who=li"):
        text = browser.get(address).raise_for_status().text
        assert not [secret for secret in (NUMBER, NUMBER[4:-4], "张三丰") if secret in text], address
    seen = {one.what for one in live.gateway.journal.queries.audit(Wanted())[0]}
    assert seen <= WHATS.keys()
    assert "opened an exam" in words(browser.get("/audit").text)


@pytest.mark.parametrize("wanted", ["", "nothing-1"])
def test_what_cannot_be_changed_says_so(browser: httpx2.Client, wanted: str) -> None:
    page = browser.get("/change", params={"measurement": wanted} if wanted else {})
    assert "cannot be changed" in words(page.text)
