"""The pages without a browser's scripts: what they show, what their forms do, what they never show."""

import html
import re
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx2
import pytest

from gateway import messages, verification
from gateway.service import DeviceCondition
from gateway.web.cards import FOUND
from gateway.web.views import CONDITIONS
from protocol.framing import Noise
from protocol.quantities import Quantity
from protocol.readings import DeviceClock, Kind, Progress
from tests.web.live import DEADLINE_S, OTHER, PERSON, Live, body, pressure, reading, until

NUMBER = PERSON["identifiers"][0]["value"]
PAGES = ("/", "/person", "/tray", "/devices", "/outbox")
PARTS = ("exam", "person", "tray", "devices", "outbox", "bar")


@pytest.fixture
def browser(live: Live):
    with httpx2.Client(base_url=live.url, follow_redirects=True, timeout=DEADLINE_S) as client:
        yield client


def words(page: str) -> str:
    """Return the text of a page."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", page)))


def english(browser: httpx2.Client) -> None:
    browser.get("/language/en").raise_for_status()


def test_open_by_the_form_measure_and_finish(live, browser):
    form = {"system": "cn-id", "number": NUMBER, "name": "张三丰", "operator": "李"}
    page = browser.post("/exams", data=form)
    assert str(page.url).startswith(f"{live.url}/?exam=e-")
    assert "张*丰" in page.text
    assert "1101**********0017" in page.text
    live.report("bp-1", pressure())
    live.report("glu-1", reading(Kind.GLUCOSE, {"glucose": ("5.60", "mmol/L")}))
    live.report("hw-1", body())
    shown = words(browser.get(str(page.url)).text)
    assert "152/94 mmHg" in shown
    assert "5.60 mmol/L" in shown
    assert "24.7 BMI" in shown
    assert re.search(r"机器测得 \d\d:\d\d:\d\d.* · bp-1 #\d+", shown)
    exam = re.search(r'action="/exams/([^/]+)/close"', page.text)[1]
    done = browser.post(f"/exams/{exam}/close", data={"operator": "李"})
    assert str(done.url) == f"{live.url}/"
    assert "给谁测量" in done.text


def test_a_wrong_number_is_said_and_what_was_typed_stays(browser):
    form = {"system": "cn-id", "number": "110101185403120018", "name": "张三丰", "operator": "li"}
    page = browser.post("/exams", data=form)
    assert page.status_code == 422
    assert messages.text("id.check_digit", "zh-CN") in words(page.text)
    assert 'value="110101185403120018"' in page.text


def test_nothing_is_done_that_nobody_signs_for(live, browser):
    page = browser.post("/exams", data={"system": "cn-id", "number": NUMBER, "operator": " "})
    assert page.status_code == 422
    assert live.gateway.journal.queries.exams() == []


def test_the_operator_is_remembered(browser):
    assert 'id="operator" name="operator" maxlength="64" value=""' in browser.get("/person").text
    browser.post("/exams", data={"number": NUMBER, "system": "cn-id", "operator": "李 四"})
    assert 'value="李 四"' in browser.get("/person").text


def test_the_tray_says_why_and_binds_with_a_reason(live, browser):
    english(browser)
    live.report("bp-1", pressure())
    page = words(browser.get("/tray").text)
    assert messages.text("tray.no_exam", "en") in page
    assert "Systolic 152 mmHg" in page
    assert "1 not assigned" in page
    with live.client() as client:
        exam = live.open(client)
    [one] = live.gateway.journal.queries.tray()
    form = {"measurement": one.id, "exam": exam, "operator": "li"}
    refused = browser.post("/bind", data=form | {"reason": " "})
    assert messages.text("bind.reason", "en") in words(refused.text)
    browser.post("/bind", data=form | {"reason": "the slip says so"}).raise_for_status()
    assert "The tray is empty." in browser.get("/tray").text
    assert "152/94" in browser.get(f"/?exam={exam}").text


def test_start_is_offered_only_when_the_machine_can_and_asks_once(live, browser):
    with live.client() as client:
        exam = live.open(client)
    assert "start_blood_pressure" not in browser.get("/").text
    live.report("bp-1", pressure())
    assert "start_blood_pressure-bp-1" in browser.get("/").text
    form = {"order": "start_blood_pressure", "operator": "li", "exam": exam}
    browser.post("/devices/bp-1/order", data=form).raise_for_status()
    assert live.station("bp-1").orders.get_nowait().name == "start_blood_pressure"
    cuff = Progress(Kind.BLOOD_PRESSURE, {"cuff_pressure": Quantity(Decimal(128), "mm[Hg]")}, "inflating")
    live.observe("bp-1", cuff)
    page = browser.get("/").text
    assert "128 mmHg" in words(page)
    assert "stop_blood_pressure-bp-1" in page
    assert "start_blood_pressure" not in page


def test_two_people_and_a_machine_for_one_of_them(live, browser):
    with live.client() as client:
        first, second = live.open(client), live.open(client, OTHER)
    page = browser.get(f"/?exam={first}").text
    assert "point-bp-1" in page
    assert "李*" in page
    browser.post("/point", data={"device": "bp-1", "exam": first, "operator": "li"}).raise_for_status()
    until(lambda: re.search(r'id="point-bp-1"[^>]*aria-pressed="true"', browser.get(f"/?exam={first}").text))
    live.report("bp-1", pressure())
    assert "152/94" in browser.get(f"/?exam={first}").text
    assert "152/94" not in browser.get(f"/?exam={second}").text


def test_machines_in_words(live, browser):
    english(browser)
    live.report("bp-1", pressure())
    ahead = datetime.now(ZoneInfo(live.config.timezone)).replace(tzinfo=None) + timedelta(
        minutes=7, seconds=30
    )
    live.observe("bp-1", DeviceClock(ahead, b"\x01"))
    live.station("bp-1").noise(Noise(b"\x00" * 12, "no frame"))
    page = words(browser.get("/devices").text)
    assert "connected" in page
    assert "its clock is 7 minutes fast" in page
    assert "12 bytes not understood" in page
    assert re.search(r"last heard \d\d:\d\d:\d\d", page)
    assert "never heard" in page


def test_the_outbox_in_words_and_send_again(tmp_path: Path):
    fhir = {"url": "http://127.0.0.1:9/fhir"}
    with Live(tmp_path, fhir=fhir) as live, live.client(follow_redirects=True) as browser:
        english(browser)
        assert "Everything has reached the central record" in browser.get("/outbox").text
        live.open(browser)
        live.report("bp-1", pressure())
        assert "1 waiting, kept here" in browser.get("/outbox").text
        [due] = live.gateway.journal.queries.due("fhir", 10)
        one = due.measurement
        live.run(
            live.gateway.journal.run(lambda tx: tx.parked("fhir", one.id, one.version, "unknown number"))
        )
        page = browser.get("/outbox").text
        assert "unknown number" in page
        assert f"resend-{one.id}" in page
        form = {"forwarder": "fhir", "measurement": one.id, "operator": "li"}
        assert "1 waiting, kept here" in browser.post("/resend", data=form).text


def test_findings_and_failures_are_said(live, browser):
    english(browser)
    live.open(browser)
    live.report("bp-1", pressure("60", "95"))
    page = words(browser.get("/").text)
    assert "Measure again" in page
    assert "Systolic, diastolic and mean do not fit together." in page
    failed = reading(Kind.BLOOD_PRESSURE, {}, failed="movement")
    live.report("bp-1", failed)
    assert messages.text("failed.movement", "en") in words(browser.get("/").text)


def test_no_whole_number_and_no_whole_name_on_any_page(live, browser):
    live.open(browser)
    live.open(browser, OTHER)
    live.report("bp-1", pressure())
    live.report("hw-1", body())
    for address in (*PAGES, *(f"/fragments/{part}" for part in PARTS)):
        text = browser.get(address).text
        for secret in (NUMBER, "张三丰", "李四", NUMBER[4:-4]):
            assert secret not in text, address


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_every_page_speaks_one_language(live, browser, language):
    browser.get(f"/language/{language}")
    live.open(browser, {"name": "Ada"})
    live.report("bp-1", pressure())
    for address in PAGES:
        page = browser.get(address)
        assert f'<html lang="{language}">' in page.text
        shown = words(page.text.split("<main")[1]).replace("中文", "")
        if language == "en":
            assert not re.search(r"[\u4e00-\u9fff]", shown), address
        else:
            assert re.search(r"[\u4e00-\u9fff]", shown), address


def test_pages_need_no_inline_script_or_style(live, browser):
    live.open(browser)
    for address in PAGES:
        text = browser.get(address).text
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|https?://", text), address


def test_an_unknown_part_or_language_is_not_there(browser):
    assert browser.get("/fragments/page").status_code == 404
    assert browser.get("/language/fr").status_code == 404


def test_every_rule_and_every_condition_has_its_word():
    assert set(FOUND) == {rule.name for rule in verification.RULES}
    assert set(CONDITIONS) == set(DeviceCondition.__args__)


def test_the_style_stays_small():
    static = Path(__file__).parents[2] / "gateway" / "web" / "static"
    css = (static / "page.css").read_text(encoding="utf-8")
    assert len(css.encode()) <= 12_000
    assert ":has(" not in css
    assert "@container" not in css
