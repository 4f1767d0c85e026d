"""The page when a card is read: who was recognised shows at once, what is wrong with a card is said."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, async_playwright, expect

from gateway import messages
from protocol.readings import CardRead, Notice
from tests.web.live import DEADLINE_S, DEVICES, PERSON, Live, body, pressure
from tests.web.test_web_browser import QUIET, SCREEN, SCROLLS
from tests.web.test_web_pages import PAGES, words

READER = {"name": "card-1", "driver": "idcard_sam", "port": "/dev/checkup-test-card"}
CARD = CardRead(
    "cn-id", "999999185403120018", "试一二", "male", date(1854, 3, 12), "01", "不存在省不存在县第〇号",
    date(2010, 1, 1), None,
)  # fmt: skip
OTHER = replace(CARD, number="999999189812010029", name="欧阳试三")
SECRETS = (CARD.number, CARD.name, CARD.address, OTHER.number, OTHER.name)
MASKED, MASKED_OTHER = "试*二", "欧*三"
BAD = Notice("id.check_digit", fault=True)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with Live(tmp_path, devices=(*DEVICES, READER)) as running:
        yield running


@pytest.fixture
def browser(live: Live) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=live.url, follow_redirects=True, timeout=DEADLINE_S) as client:
        yield client


def test_the_form_asks_for_a_card_only_where_there_is_a_reader(
    browser: httpx2.Client, tmp_path: Path
) -> None:
    assert "请把身份证放在读卡器上" in browser.get("/").text
    with Live(tmp_path / "without") as without, without.client() as client:
        assert "读卡器" not in client.get("/").text


def test_whose_card_it_is_stands_on_every_page_masked(live: Live, browser: httpx2.Client) -> None:
    live.observe("card-1", CARD)
    for address in PAGES:
        page = browser.get(address).text
        assert f"{MASKED} 9999**********0018" in words(page)
        assert not [secret for secret in SECRETS if secret in page], address
    assert f'id="card-exam" href="/?exam={live.gateway.front()}"' in browser.get("/tray").text
    assert f"<h1>{MASKED}</h1>" in browser.get("/").text
    state = browser.get("/v1/devices").json()["devices"][-1]
    assert (state["recognised"], state["kinds"]) == (live.gateway.front(), [])
    live.observe("card-1", Notice("idcard_sam.no_card"))
    for address in PAGES:
        assert "请把卡拿开" not in browser.get(address).text


def test_the_page_shows_whoever_came_last(live: Live, browser: httpx2.Client) -> None:
    live.observe("card-1", CARD)
    first = live.gateway.front()
    live.observe("card-1", OTHER)
    assert f"<h1>{MASKED_OTHER}</h1>" in browser.get("/").text
    live.observe("card-1", CARD)
    assert f"<h1>{MASKED}</h1>" in browser.get("/").text
    assert live.gateway.front() == first
    live.open(browser)
    assert "<h1>张*丰</h1>" in browser.get("/").text
    form = {"operator": "li"}
    browser.post(f"/exams/{live.gateway.front()}/close", data=form).raise_for_status()
    assert f"<h1>{MASKED_OTHER}</h1>" in browser.get("/").text, "then whoever was opened last"


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_what_is_wrong_with_a_card_is_said_on_every_page(
    live: Live, browser: httpx2.Client, language: str
) -> None:
    browser.get(f"/language/{language}")
    live.observe("card-1", CARD)
    live.observe("card-1", BAD)
    for address in PAGES:
        page = words(browser.get(address).text)
        assert messages.text("id.check_digit", language) in page, address
        assert MASKED in page or address in {"/tray", "/devices", "/outbox"}
    live.observe("card-1", Notice("idcard_sam.no_card"))
    assert messages.text("id.check_digit", language) not in words(browser.get("/").text)


def test_a_reader_that_is_away_disturbs_no_page_but_its_own(live: Live, browser: httpx2.Client) -> None:
    live.station("card-1")._set(condition="lost", code="link.lost")
    lost = messages.text("link.lost", "zh-CN")
    assert lost in words(browser.get("/devices").text)
    assert lost not in words(browser.get("/").text)


def test_no_machine_is_offered_to_measure_by_reading_cards(live: Live, browser: httpx2.Client) -> None:
    live.observe("card-1", CARD)
    live.observe("card-1", OTHER)
    page = browser.get("/").text
    assert "point-bp-1" in page
    assert "point-card-1" not in page
    assert "身份证" in words(browser.get("/devices").text)


def test_a_card_s_exam_takes_what_is_measured_next_and_is_signed_by_who_finishes(
    live: Live, browser: httpx2.Client
) -> None:
    live.observe("card-1", CARD)
    live.report("bp-1", pressure())
    exam = live.gateway.front()
    assert exam is not None
    [measured] = live.gateway.journal.queries.exam_measurements(exam)
    assert measured.status == "final"
    page = browser.get("/").text
    assert "152/94" in page
    assert "operator-exam" in page, "nobody signed for it yet"
    refused = browser.post(f"/exams/{exam}/close", data={})
    assert messages.text("operator.missing", "zh-CN") in words(refused.text)
    browser.post(f"/exams/{exam}/close", data={"operator": "li"}).raise_for_status()
    assert live.gateway.journal.queries.exam(exam).closed is not None


@pytest_asyncio.fixture
async def page(live: Live) -> AsyncIterator[Page]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=path, args=list(QUIET))
        opened = await chromium.new_page(viewport=SCREEN, base_url=live.url)
        errors: list[str] = []
        opened.on("pageerror", lambda error: errors.append(str(error)))
        yield opened
        await chromium.close()
    assert errors == []


@pytest.mark.xdist_group("browser")
async def test_a_card_turns_the_page_to_its_holder_at_once(live: Live, page: Page) -> None:
    heading = page.locator("header h1")
    await page.goto("/")
    await expect(page.locator("#number")).to_be_focused()
    live.observe("card-1", CARD)
    await expect(heading).to_have_text(MASKED)
    await expect(page.locator(".now")).to_contain_text("请把卡拿开")
    live.observe("card-1", Notice("idcard_sam.no_card"))
    await expect(page.locator(".now")).not_to_contain_text("请把卡拿开")
    await page.goto("/person")
    live.observe("card-1", OTHER)
    await expect(heading).to_have_text(MASKED_OTHER)
    await page.goto(f"/?exam={live.gateway.front()}")
    live.observe("card-1", CARD)
    await expect(heading).to_have_text(MASKED)
    live.observe("card-1", BAD)
    await expect(page.locator(".notice")).to_contain_text("校验码")
    live.report("bp-1", pressure())
    live.report("hw-1", body())
    await expect(page.locator("#point-bp-1")).to_be_visible()


@pytest.mark.xdist_group("browser")
async def test_a_card_read_while_the_page_still_loads_turns_it_too(live: Live, page: Page) -> None:
    read = asyncio.Event()

    async def only_then(route: Route) -> None:
        await read.wait()
        await route.continue_()

    await page.route("**/events*", only_then)
    await page.goto("/person")
    live.observe("card-1", CARD)
    read.set()
    await expect(page.locator("header h1")).to_have_text(MASKED)


@pytest.mark.xdist_group("browser")
async def test_a_card_takes_nothing_away_that_somebody_types(live: Live, page: Page) -> None:
    await page.goto("/person")
    await page.fill("#number", PERSON["identifiers"][0]["value"])
    live.observe("card-1", CARD)
    await expect(page.locator("#card")).to_contain_text(MASKED)
    await expect(page.locator("#number")).to_have_value(PERSON["identifiers"][0]["value"])
    await page.click("#card-exam")
    await expect(page.locator("header h1")).to_have_text(MASKED)
    await page.goto("/tray")
    live.observe("card-1", OTHER)
    await expect(page.locator("#card")).to_contain_text(MASKED_OTHER)
    await expect(page).to_have_url(f"{live.url}/tray")


@pytest.mark.xdist_group("browser")
async def test_the_exam_of_a_card_fits_the_screen(live: Live, page: Page) -> None:
    live.observe("card-1", CARD)
    live.report("bp-1", pressure())
    live.report("hw-1", body())
    for address in ("/", f"/?exam={live.gateway.front()}"):
        await page.goto(address)
        await expect(page.locator(".now")).to_contain_text(MASKED)
        assert not await page.evaluate(SCROLLS)
