"""The demonstration's Bluetooth cuff on an emulated air, and where it says that it cannot be shown."""

from pathlib import Path
from types import SimpleNamespace

from click.testing import CliRunner
from lab import lab
from room import room, until

from tools.bluetooth_cuff import ADDRESS, BUS, Cuff, why_not
from tools.simulate import simulate

VALUES = {"systolic": "128", "diastolic": "82", "mean_pressure": "97", "pulse_rate": "71"}


async def test_what_it_shows_is_stored_as_the_person_s_who_sits_there(tmp_path: Path):
    async with lab() as here:
        cuff = Cuff(here.air)
        await cuff.start()
        async with room(tmp_path, here.radio, SimpleNamespace(address=ADDRESS)) as made:
            for number in range(2):
                exam = await made.opens_exam()
                shown = {**VALUES, "systolic": str(128 + number)}
                await cuff.measure(shown)
                await until(lambda: made.journal.queries.exam_measurements(exam))  # noqa: B023
                [stored] = made.journal.queries.exam_measurements(exam)
                assert {name: value.value for name, value in stored.values.items()} == shown
                await until(lambda: made.station.state.condition == "waiting")
                await made.closes_exam(exam)


def test_where_it_cannot_be_it_says_why(tmp_path: Path):
    assert "modprobe hci_vhci" in why_not(tmp_path / "vhci")
    (tmp_path / "vhci").touch()
    assert "bluetoothd" in why_not(tmp_path / "vhci", tmp_path / "bus")
    (tmp_path / "bus").touch()
    assert why_not(tmp_path / "vhci", tmp_path / "bus") == ""
    assert BUS.is_absolute()


def test_a_bluetooth_machine_is_simulated_from_a_recording_only():
    ran = CliRunner().invoke(simulate, ["sig_glucose"])
    assert (ran.exit_code, "--transcript" in ran.output) == (2, True)
