"""What `simulate DRIVER` shows of Bluetooth, on an emulated air: the same orders as of a serial machine."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from lab import Lab, lab
from room import Room, here_and_now, room, until

from tools import on_air
from tools.air_player import AirPlayer
from tools.forms import Json
from tools.peripherals import ADDRESS, BUS, PASSKEY, names, peripheral, why_not
from tools.simulate import simulate

PERSON = {
    "sig_blood_pressure": {
        "systolic": "128",
        "diastolic": "82",
        "mean_pressure": "97",
        "pulse_rate": "71",
    },
    "sig_body_composition": {"body_weight": "62.350", "body_fat": "24.6"},
    "sig_glucose": {"glucose": "101"},
    "sig_oximeter": {"spo2": "97", "pulse_rate": "68"},
    "sig_thermometer": {"body_temperature": "36.7"},
    "sig_weight_scale": {"body_weight": "62.350"},
    "okok_scale": {"body_weight": "62.35"},
    "xiaomi_scale": {"body_weight": "62.350"},
}
ADVERTISE = {"okok_scale", "xiaomi_scale"}
OTHER = {
    "sig_blood_pressure": {**PERSON["sig_blood_pressure"], "systolic": "129"},
    "sig_glucose": {"glucose": "102"},
    "sig_weight_scale": {"body_weight": "70.000"},
}
EARLIER = (here_and_now() - timedelta(days=3)).isoformat()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_air, "SHOWN_S", 0.5)
    monkeypatch.setattr(on_air, "IDLE_S", 1.0)


async def known(_address: str) -> int:
    return PASSKEY


class Played(Room):
    """A simulated machine in the room, and a person who gives it orders."""

    def __init__(self, made: Room, player: AirPlayer, tells: list[Json]) -> None:
        self.__dict__ = made.__dict__
        self.player, self.tells = player, tells

    async def orders(self, **order: object) -> None:
        await self.player.order(json.dumps(order).encode())

    def shown(self) -> list[object]:
        return [told["shown"] for told in self.tells if "shown" in told]

    def values(self) -> list[dict[str, str]]:
        found = sorted(self.measured(), key=lambda one: one.received_seq)
        return [{name: value.value for name, value in one.values.items()} for one in found]

    async def comes_to(self, condition: Callable[[], object]) -> None:
        await until(condition, 60)


@contextlib.asynccontextmanager
async def playing(driver: str, folder: Path, **settings: float) -> AsyncIterator[Played]:
    machine = SimpleNamespace(address=ADDRESS)
    async with (
        lab(lambda address: known) as here,
        room(folder, here.radio, machine, driver) as made,
    ):
        yield await started(driver, here, made, **settings)


async def started(driver: str, here: Lab, made: Room, **settings: float) -> Played:
    tells: list[Json] = []
    player = AirPlayer(driver, here.air, tells.append, **settings)
    await player.start()
    if driver in ADVERTISE:
        await until(lambda: ADDRESS in here.radio._adverts)
    return Played(made, player, tells)


def test_every_one_of_them_is_tested_here():
    assert set(names()) == set(PERSON)


@pytest.mark.parametrize("driver", sorted(PERSON))
async def test_what_it_shows_is_stored_as_the_person_s_who_sits_there(driver: str, tmp_path: Path):
    async with playing(driver, tmp_path) as here:
        assert here.tells[0]["port"] == f"ble:{ADDRESS}"
        exam = await here.opens_exam()
        await here.orders(measure=PERSON[driver])
        await here.comes_to(here.shown)
        assert here.shown() == [PERSON[driver]]
        together: dict[str, str] = {}

        def all_there() -> bool:
            for one in here.journal.queries.exam_measurements(exam):
                together.update({name: value.value for name, value in one.values.items()})
            return together.keys() == PERSON[driver].keys()

        await here.comes_to(all_there)
        assert {name: float(value) for name, value in together.items()} == {
            name: float(value) for name, value in PERSON[driver].items()
        }
        assert not any(one.stored for one in here.measured())


@pytest.mark.parametrize("driver", sorted(PERSON))
def test_a_plausible_person_is_one_for_the_machine(driver: str):
    machine = peripheral(driver)
    people = [machine.person(Random(seed)) for seed in range(50)]
    assert all(one.keys() == PERSON[driver].keys() for one in people)
    for number, person in enumerate(people, 1):
        machine.measured(on_air.Measure(person), here_and_now(), number)


@pytest.mark.parametrize("driver", sorted(OTHER))
async def test_a_result_that_was_not_told_is_told_later(driver: str, tmp_path: Path):
    """The link breaks before the first word; out of range a second result comes; both are told once."""
    async with playing(driver, tmp_path) as here:
        await here.orders(half=True, measure=PERSON[driver])
        await here.comes_to(lambda: here.station.state.condition != "waiting" or here.told())
        await here.comes_to(lambda: not here.player._machine.half)
        await here.orders(measure=OTHER[driver])
        assert here.values() == []
        await here.orders(replug=True)
        await here.comes_to(lambda: len(here.values()) == 2)
        assert [float(v) for one in here.values() for v in one.values()] == [
            float(v) for one in (PERSON[driver], OTHER[driver]) for v in one.values()
        ]


async def test_what_a_cuff_says_of_a_measurement_that_failed(tmp_path: Path):
    async with playing("sig_blood_pressure", tmp_path) as here:
        await here.orders(fail="cuff_loose")
        await here.comes_to(here.measured)
        [failed] = here.measured()
        assert (failed.failed, here.tells[-1]) == ("cuff_loose", {"failed": "cuff_loose"})
        await here.orders(fail="no_batteries")
        assert "refused" in here.tells[-1]


async def test_records_of_other_days_are_nobody_s_and_come_once(tmp_path: Path):
    async with playing("sig_glucose", tmp_path) as here:
        exam = await here.opens_exam()
        records = [{"glucose": str(90 + number), "at": EARLIER, "meal": "before"} for number in range(3)]
        await here.orders(stored=records)
        await here.comes_to(lambda: len(here.measured()) == 3)
        await here.orders(measure={"glucose": "110"}, meal="after")
        await here.comes_to(lambda: len(here.measured()) == 4)
        assert [one.stored for one in here.measured()] == [True] * 3 + [False]
        assert [one.context["meal"] for one in here.measured()] == ["before"] * 3 + ["after"]
        [mine] = here.journal.queries.exam_measurements(exam)
        assert mine.values["glucose"].value == "110"


async def test_a_machine_that_is_silent_and_one_that_says_rubbish_first(tmp_path: Path):
    async with playing("sig_weight_scale", tmp_path) as here:
        await here.orders(silence=True)
        await here.orders(measure={"body_weight": "61"})
        assert here.shown() == []
        await here.orders(noise="ff00")
        await here.orders(silence=False)
        await here.comes_to(here.shown)
        await here.comes_to(lambda: here.values() == [{"body_weight": "61.000"}])


async def test_a_clock_that_is_wrong_is_seen(tmp_path: Path):
    async with playing("sig_thermometer", tmp_path, clock_offset=7200.0) as here:
        await here.orders(measure={"body_temperature": "36.7"})
        await here.comes_to(here.measured)
        [taken] = here.measured()
        assert taken.device_time is not None
        ahead = taken.device_time.replace(tzinfo=None) - datetime.now()  # noqa: DTZ005 - a machine's clock
        assert timedelta(hours=1, minutes=50) < ahead < timedelta(hours=2, minutes=10)
        await here.orders(clock=0)
        await here.orders(measure={"body_temperature": "36.8"})
        await here.comes_to(lambda: len(here.measured()) == 2)


async def test_a_scale_that_nobody_can_hear(tmp_path: Path):
    async with playing("xiaomi_scale", tmp_path) as here:
        await here.orders(unplug=True)
        await here.orders(measure={"body_weight": "61"})
        assert here.tells[-1] == {"unsent": {"body_weight": "61.000"}}
        await here.orders(stored=[{"body_weight": "61", "at": EARLIER}])
        assert "refused" in here.tells[-1]


@pytest.mark.parametrize(
    "order",
    [
        {"wrong_baud": True},
        {"corrupt": True},
        {"measure": {"glucose": "much"}},
        {"measure": {"glucose": "101"}, "meal": "noon"},
        {"stored": [{"glucose": "101"}]},
        {"fail": "no_strip"},
        {"wait": "long"},
        {},
    ],
    ids=json.dumps,
)
async def test_what_it_cannot_do_is_refused(order: Json, tmp_path: Path):
    async with playing("sig_glucose", tmp_path) as here:
        await here.orders(**order)
        assert list(here.tells[-1]) == ["refused"]


def test_where_it_cannot_be_it_says_why(tmp_path: Path):
    assert "modprobe hci_vhci" in why_not(tmp_path / "vhci")
    (tmp_path / "vhci").touch()
    assert "bluetoothd" in why_not(tmp_path / "vhci", tmp_path / "bus")
    (tmp_path / "bus").touch()
    assert why_not(tmp_path / "vhci", tmp_path / "bus") == ""
    assert BUS.is_absolute()


def test_a_machine_without_a_simulation_is_served_from_a_recording_only():
    ran = CliRunner().invoke(simulate, ["qn_scale"])
    assert (ran.exit_code, "--transcript" in ran.output) == (2, True)
