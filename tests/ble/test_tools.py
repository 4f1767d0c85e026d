"""What a technician does with Bluetooth machines: look who is about, pair one, see it speak."""

import pytest
from click.testing import CliRunner
from lab import Lab, lab, leaping
from peripheral import Machine, blood_pressure

from drivers import catalogue
from gateway.links.ble_adverts import Advert
from gateway.pairing import Wish
from protocol.errors import LinkError, RequestRefused, Unavailable
from tools.nearby import Nearby, as_json, as_stanza, heard, report, signal
from tools.pair import pair, told, typed

DRIVERS = list(catalogue.every().values())
CUFF = catalogue.every()["sig_blood_pressure"]
RESULT = blood_pressure(128, 82, 97, 71, (2026, 11, 21, 12, 0, 0))


def wish(machine: Machine | str, **changes) -> Wish:
    address = machine if isinstance(machine, str) else machine.address
    given = {"driver": CUFF, "settings": {}, "with_passkey": False, "test": True, "seconds": 180.0}
    return Wish(address, **{**given, **changes})


def telling(machine: Machine, *results: bytes) -> None:
    """Let the machine tell *results* as soon as somebody listens."""

    def listened(connection, notify: bool, indicate: bool) -> None:
        if indicate:
            connection.cancel_on_disconnection(tell())

    async def tell() -> None:
        for result in results:
            await machine.send_blood_pressure(result)

    machine.bp_measurement.on("subscription", listened)


async def pairing(here: Lab, what: Wish) -> list[str]:
    said: list[str] = []
    here.running.cancel()  # the command runs the radio itself
    await told(what, here.radio, said.append)
    return said


@leaping
async def test_a_machine_is_paired_and_speaks_and_its_stanza_is_printed():
    async with lab() as here:
        here.emulated.controller.strength = -60
        machine = await here.awake(secure="encrypted")
        telling(machine, RESULT)
        said = await pairing(here, wish(machine, settings={"pairing": "just_works"}))
        text = "\n".join(said)
        assert machine.pairings == 1
        assert "Press the button" in text
        assert "kept nowhere" in said[0]
        assert "The machine is heard (HC-Machine)." in text
        assert "The signal is good (-60 dBm)." in text
        assert "test, not stored: blood_pressure systolic 128 mm[Hg]" in text
        assert "this is the right driver. Results seen and not kept (1)." in text
        assert '\nsettings.pairing = "just_works"\n' in said[-1]
        assert f'driver = "sig_blood_pressure"\nport = "ble:{machine.address}"' in said[-1]
        assert not machine.device.connections


@leaping
async def test_a_machine_with_a_passkey():
    async with lab(lambda address: typed("135790")) as here:
        machine = await here.awake(secure="authenticated", passkey=135790)
        said = await pairing(here, wish(machine, with_passkey=True, test=False))
        assert machine.pairings == 1
        assert not any("kept nowhere" in line for line in said)


@leaping
async def test_a_machine_that_tells_nothing_is_paired_all_the_same():
    async with lab() as here:
        machine = await here.awake()
        said = await pairing(here, wish(machine))
        assert "Results seen and not kept (0)." in "\n".join(said)


@leaping
async def test_a_machine_that_never_comes():
    async with lab() as here:
        machine = here.machine()
        with pytest.raises(Unavailable) as fault:
            await pairing(here, wish(machine))
        assert fault.value.code == "pairing.not_seen"


@leaping
async def test_without_bluetooth_the_command_ends_at_once():
    async with lab() as here:
        here.host.fault = Unavailable("no adapter", code="radio.none")
        with pytest.raises(LinkError) as fault:
            await pairing(here, wish(here.machine()))
        assert fault.value.code == "radio.none"


@leaping
async def test_the_driver_is_named_where_several_fit_or_none():
    async with lab() as here:
        machine = await here.awake(name="HC-Machine")
        with pytest.raises(RequestRefused) as refused:
            await pairing(here, wish(machine, driver=None))
        assert refused.value.code == "pairing.no_driver"
        assert "sig_blood_pressure (it offers service 1810)" in refused.value.detail
        assert "sig_glucose" in refused.value.detail
    async with lab() as here:
        with pytest.raises(RequestRefused):
            await pairing(here, wish(await here.awake(), driver=catalogue.every()["omron_hbp"]))


@leaping
async def test_a_scale_that_only_advertises_has_nothing_to_pair():
    async with lab() as here:
        machine = await here.awake()
        said = await pairing(here, wish(machine, driver=catalogue.every()["xiaomi_scale"]))
        assert "nothing to pair" in "\n".join(said)


def test_nobody_but_an_address_and_six_digits():
    for words in (["meter"], ["F0:F1:F2:F3:F4:01", "--passkey", "12345"]):
        assert CliRunner().invoke(pair, words).exit_code == 2


@leaping
async def test_who_is_about_the_strongest_first():
    async with lab() as here:
        here.running.cancel()
        machines = [await here.awake(name=f"cuff {n}") for n in range(3)]
        adverts = await heard(here.radio, 10)
        assert {advert.address for advert in adverts} == {machine.address for machine in machines}
        assert sorted((advert.strength for advert in adverts), reverse=True) == [
            one.strength for one in adverts
        ]


METER = Advert("F0:F1:F2:F3:F4:01", "Yuwell BP-YE680A", -60, ("1810",))
PHONE = Advert("4C:00:00:00:00:01", "", -50, (), {}, {0x4C: b"\x02\x15"})
ALL_IN_ONE = Advert("F0:F1:F2:F3:F4:02", "", -90, ("1810", "1808"))


def test_the_report_has_a_stanza_for_what_a_driver_fits():
    found = Nearby(("hci0 00:00:5E:00:53:00",), (PHONE, METER, ALL_IN_ONE))
    text = report(found, DRIVERS)
    assert "# Bluetooth adapter hci0 00:00:5E:00:53:00." in text
    assert f"devices pair {METER.address}" in text
    assert f'port = "ble:{METER.address}"' in text
    assert PHONE.address not in text
    assert "# 1 other Bluetooth devices are about." in text
    assert "several drivers fit" in as_stanza(2, ALL_IN_ONE, DRIVERS)
    assert as_stanza(3, PHONE, DRIVERS) == ""
    fault = Unavailable("no adapter", code="radio.none")
    assert "radio.none" in report(Nearby((), (), fault), DRIVERS)


def test_the_report_as_json():
    told = as_json(METER, DRIVERS)
    assert (told["port"], told["strength"]) == (f"ble:{METER.address}", -60)
    assert {"name": "sig_blood_pressure", "why": told["drivers"][0]["why"]} == told["drivers"][0]
    assert as_json(PHONE, DRIVERS)["maker_data"] == {"004c": "0215"}


def test_a_signal_in_words():
    assert [signal(strength).split(" (")[0] for strength in (-50, -80, -95)] == [
        "The signal is good",
        "The signal is weak",
        "The signal is too weak",
    ]
