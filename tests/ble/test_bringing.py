"""A Bluetooth machine is brought in on the page of the running service; what it tells is kept nowhere."""

import asyncio
import contextlib
import html
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from lab import Lab, lab
from peripheral import Machine, blood_pressure
from test_tools import telling

from gateway.api.app import create_app
from gateway.api.context import Context
from gateway.app import Gateway
from gateway.config import Config
from protocol.errors import Unavailable

RESULT = blood_pressure(128, 82, 97, 71, (2026, 11, 21, 12, 0, 0))


class Page:
    """The page as a browser sees it, without the frame."""

    def __init__(self, gateway: Gateway) -> None:
        context = Context(gateway, gateway.journal.queries, gateway.config)
        transport = httpx2.ASGITransport(create_app(context))
        self._client = httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1")

    async def shows(self, address: str = "/bringing") -> str:
        answer = await self._client.get(address)
        assert answer.status_code == 200
        return html.unescape(answer.text)

    async def asks(self, **fields: str) -> tuple[int, str]:
        answer = await self._client.post("/bringing", data={"operator": "Dr. Who", **fields})
        return answer.status_code, html.unescape(answer.text)

    async def comes_to_show(self, *wanted: str) -> str:
        async with asyncio.timeout(30):
            while True:
                shown = await self.shows("/fragments/bringing")
                if all(one in shown for one in wanted):
                    return shown
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def service(tmp_path: Path) -> AsyncIterator[tuple[Gateway, Lab, Page]]:
    gateway = Gateway(Config(gateway="g-1", state=tmp_path / "state", language="en"))
    try:
        async with lab(gateway.bringing.passkey) as here:
            gateway.bringing.own = here.radio
            yield gateway, here, Page(gateway)
            await gateway.bringing.close()
    finally:
        gateway.close()


async def secured(here: Lab, **settings: object) -> Machine:
    machine = await here.awake(**settings)
    telling(machine, RESULT)
    return machine


async def test_it_is_seen_paired_and_tested_and_its_stanza_is_shown(tmp_path):
    async with service(tmp_path) as (gateway, here, page):
        machine = await secured(here, secure="encrypted")
        await page.shows()
        shown = await page.comes_to_show(f"pair-{machine.address}", "HC-Machine")
        assert 'value="sig_blood_pressure"' in shown
        status, _ = await page.asks(address=machine.address, driver="sig_blood_pressure")
        assert status == 303
        shown = await page.comes_to_show("Put these lines into the configuration", "[[devices]]")
        assert f'port = "ble:{machine.address}"' in shown
        assert '\nsettings.pairing = "just_works"\n' in shown
        assert machine.pairings == 1
        assert "Test, not stored: Systolic 128" in shown
        assert not gateway.journal.queries.counts().measurements
        assert not gateway.journal.queries.tray(10)


async def test_the_digits_are_those_a_person_typed(tmp_path):
    async with service(tmp_path) as (_, here, page):
        machine = await secured(here, secure="authenticated", passkey=135790)
        asked = {"address": machine.address, "driver": "sig_blood_pressure", "without_test": "yes"}
        await page.asks(**asked, passkey="111111")
        await page.comes_to_show("The six digits were wrong")
        await page.asks(**asked, passkey="135790")
        await page.comes_to_show("[[devices]]")
        assert machine.pairings == 1


async def test_one_at_a_time_and_nothing_that_cannot_be(tmp_path):
    async with service(tmp_path) as (gateway, here, page):
        sleeping = here.machine()
        wrong = ({"address": "meter"}, {"address": sleeping.address, "driver": "none_such"})
        for fields in wrong:
            assert (await page.asks(**fields))[0] == 422
        assert (await page.asks(address=sleeping.address, passkey="12"))[0] == 422
        assert gateway.bringing.attempt is None
        assert (await page.asks(address=sleeping.address))[0] == 303
        status, shown = await page.asks(address=sleeping.address)
        assert status >= 400
        assert "brought in already" in shown


async def test_without_an_adapter_the_page_says_so(tmp_path):
    async with service(tmp_path) as (_, here, page):
        here.host.fault = here.central.scan_fault = Unavailable("no adapter", code="radio.none")
        await page.shows()
        await page.comes_to_show("This box has no Bluetooth adapter")


@pytest.mark.parametrize("tag", ["zh-CN", "en"])
async def test_both_languages(tmp_path, tag):
    async with service(tmp_path) as (_, _here, page):
        page._client.cookies.set("language", tag)
        assert ("接入蓝牙机器" in await page.shows()) == (tag == "zh-CN")
