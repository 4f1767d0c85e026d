"""A card read while the gateway runs: whose exam it opens or brings to the front, and what is kept of it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.config import Config
from gateway.service import ExamRequest
from gateway.supervisor import Station
from protocol.framing import Noise
from protocol.quantities import Quantity
from protocol.readings import CardRead, Kind, Notice, Progress
from store.residents import Identifier

CARD = CardRead(
    "cn-id", "999999185403120018", "试一二", "male", date(1854, 3, 12), "01", "不存在省不存在县第〇号",
    date(2010, 1, 1), None,
)  # fmt: skip
OTHER = replace(CARD, number="999999189812010029", name="欧阳试三", sex="female")
SECRETS = (CARD.number, CARD.name, CARD.address, OTHER.number, OTHER.name)
DEVICES = (
    {"name": "card-1", "driver": "idcard_sam", "port": "/dev/checkup-test-card"},
    {"name": "bp-1", "driver": "pm6750", "port": "/dev/checkup-test-bp"},
)


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    wanted = {"gateway": "gw-1", "state": tmp_path / "state", "devices": DEVICES}
    made = Gateway(Config.model_validate(wanted))
    yield made
    made.close()


def reader(gateway: Gateway) -> Station:
    return gateway.stations[0]


def open_exams(gateway: Gateway) -> list[str]:
    return [exam.id for exam in gateway.journal.queries.exams(open=True)]


async def told(gateway: Gateway, topic: str) -> str | None:
    """Return who is in front when *topic* is told."""
    async for one in gateway.changes():
        if one.topic == topic:
            break
    return gateway.front()


async def test_a_card_opens_the_exam_of_its_holder(gateway: Gateway) -> None:
    await reader(gateway).observe(CARD)
    [exam] = gateway.journal.queries.exams(open=True)
    resident = gateway.journal.queries.resident(exam.resident)
    assert (resident.name, resident.sex, resident.birth_date) == ("试一二", "male", "1854-03-12")
    assert resident.identifiers == [Identifier("cn-id", CARD.number)]
    assert exam.operator == "card:card-1"
    state = reader(gateway).state
    assert (state.condition, state.code, state.recognised) == ("connected", None, exam.id)
    assert gateway.front() == exam.id


async def test_the_card_of_an_open_exam_brings_it_to_the_front_and_opens_none(gateway: Gateway) -> None:
    by_hand = await gateway.open_exam(ExamRequest([Identifier("cn-id", CARD.number)], None, "li"))
    await reader(gateway).observe(OTHER)
    assert gateway.front() != by_hand
    await reader(gateway).observe(CARD)
    assert gateway.front() == by_hand == reader(gateway).state.recognised
    assert len(open_exams(gateway)) == 2
    await gateway.close_exam(by_hand, "li")
    await reader(gateway).observe(CARD)
    assert gateway.front() not in {by_hand, None}
    assert len(open_exams(gateway)) == 2


async def test_an_exam_opened_by_hand_comes_to_the_front_of_one_opened_by_card(gateway: Gateway) -> None:
    await reader(gateway).observe(CARD)
    later = await gateway.open_exam(ExamRequest([], "Ada", "li"))
    async with asyncio.timeout(20):
        while gateway.front() != later:
            await told(gateway, "exam")


async def test_pages_are_told_at_once(gateway: Gateway) -> None:
    news = asyncio.create_task(told(gateway, "card"))
    await asyncio.sleep(0)
    await reader(gateway).observe(CARD)
    assert await news == gateway.front() in open_exams(gateway)


async def test_nobody_is_opened_beside_a_measurement_that_runs(gateway: Gateway) -> None:
    cuff = Progress(Kind.BLOOD_PRESSURE, {"cuff_pressure": Quantity(Decimal(100), "mm[Hg]")}, "measuring")
    await reader(gateway).observe(CARD)
    mine = gateway.front()
    await gateway.stations[1].observe(cuff)
    await reader(gateway).observe(OTHER)
    assert (reader(gateway).state.code, reader(gateway).state.recognised) == ("exam.measuring", None)
    assert (open_exams(gateway), gateway.front()) == ([mine], mine)
    await reader(gateway).observe(CARD)
    assert (reader(gateway).state.code, reader(gateway).state.recognised) == (None, mine)
    await gateway.stations[1].observe(replace(cuff, underway=False))
    await reader(gateway).observe(OTHER)
    assert len(open_exams(gateway)) == 2


async def test_a_measurement_that_runs_for_nobody_holds_no_card_up(gateway: Gateway) -> None:
    await gateway.stations[1].observe(
        Progress(Kind.BLOOD_PRESSURE, {"cuff_pressure": Quantity(Decimal(100), "mm[Hg]")}, "measuring")
    )
    await reader(gateway).observe(CARD)
    assert len(open_exams(gateway)) == 1


async def test_what_is_wrong_with_a_card_stands_until_something_else_is_said(gateway: Gateway) -> None:
    station = reader(gateway)
    await station.observe(CARD)
    await station.observe(Notice("id.check_digit", fault=True))
    assert (station.state.code, station.state.recognised) == ("id.check_digit", None)
    await station.observe(replace(CARD, number="999999185403120010"))
    assert station.state.code == "id.check_digit", "a driver that checked nothing is checked here"
    await station.observe(Notice("idcard_sam.no_card"))
    assert station.state.code is None
    assert len(open_exams(gateway)) == 1


async def test_a_card_leaves_its_holder_in_the_identity_store_and_nowhere_else(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    station = reader(gateway)
    await station.observe(CARD)
    await station.observe(OTHER)
    half = CARD.name.encode("utf-16-le") + CARD.number.encode("utf-16-le")
    station.noise(Noise(half, "check failed"))
    assert station.state.code == "device.noise"
    facts = b"".join(gateway.journal.queries.facts())
    shown = facts.decode() + str(gateway.devices()) + caplog.text
    for secret in (*SECRETS, half[:16].hex(" "), half.hex()):
        assert secret not in shown
    database = (gateway.config.state / "journal.db").parent
    kept = b"".join(path.read_bytes() for path in sorted(database.iterdir()) if path.is_file())
    assert CARD.address.encode() not in kept
    assert half not in kept
