"""`devices scan | list | show`: stanzas that load, and the state the running service tells."""

import json
import os
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from drivers import catalogue
from drivers.catalogue import Driver, Serial
from gateway.config import load
from gateway.links.ports import Bulk, PortInfo
from tests.tools.service import command, running, written
from tools import devices
from tools.holders import Held

CHIP = PortInfo(
    "/dev/ttyUSB0", 0x1A86, 0x7523, None, "1-1", "USB Serial", "/dev/serial/by-id/usb-1a86-if00-port0"
)
MACHINE = PortInfo("/dev/ttyACM0", 0x1234, 0xABCD, "S/7", "1-2", 'Scale "Q"', None)
BARE = PortInfo("/dev/ttyS0")
HID = PortInfo("/dev/hidraw0", 0x0590, 0x0028, None, "1-3", "OMRON", hid=True)


@pytest.fixture
def drivers() -> list[Driver]:
    """Every driver, one of them with USB ids that name its machine."""
    [first, *rest] = sorted(catalogue.every().values(), key=lambda one: not isinstance(one.link, Serial))
    return [replace(first, link=replace(first.link, usb=((0x1234, 0xABCD),))), *rest]


@pytest.fixture
def machine_end():
    """The machine's end of a serial line, and the name of ours."""
    ours, theirs = os.openpty()
    yield os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


def test_a_port_is_named_so_that_it_survives_unplugging():
    assert devices.lasting_name(CHIP) == "/dev/serial/by-id/usb-1a86-if00-port0"
    assert devices.lasting_name(MACHINE) == "usb:1234:abcd:S/7"
    assert devices.lasting_name(BARE) == "/dev/ttyS0"


def test_a_known_machine_becomes_a_stanza_that_loads(drivers, tmp_path):
    path = tmp_path / "gateway.toml"
    path.write_text(
        "\n".join(devices.as_stanza(n, port, drivers) for n, port in enumerate([MACHINE, CHIP, BARE], 1))
    )
    [device] = load(path, {}).devices
    assert (device.name, device.driver, device.port) == (
        f"{drivers[0].name}-1",
        drivers[0].name,
        "usb:1234:abcd:S/7",
    )


def test_a_serial_chip_names_no_machine_and_nothing_is_guessed(drivers):
    stanza = devices.as_stanza(1, CHIP, drivers)
    assert tomllib.loads(stanza) == {}
    assert "nothing in it tells which machine" in stanza
    lines = [one for one in drivers if isinstance(one.link, Serial) and not one.link.bulk]
    proposed = [one for one in lines if not one.experimental]
    choice = stanza.partition("Choose the driver: ")[2].partition(".\n")[0].replace("\n#", "").split(", ")
    assert choice == [one.name for one in proposed]
    assert "checkup-gateway listen /dev/serial/by-id/usb-1a86-if00-port0" in stanza
    assert "checkup-gateway devices identify /dev/serial/by-id/usb-1a86-if00-port0" in stanza


def test_a_known_hid_machine_is_named_by_its_ids_and_has_no_line_settings(drivers, tmp_path):
    assert devices.lasting_name(HID) == "usb:0590:0028"
    path = tmp_path / "gateway.toml"
    path.write_text(devices.as_stanza(1, HID, drivers))
    assert "baudrate" not in path.read_text()
    [device] = load(path, {}).devices
    assert (device.driver, device.port) == ("omron_hem790it", "usb:0590:0028")


def test_the_same_ids_on_a_serial_port_are_another_machine(drivers):
    assert devices.fitting(replace(HID, hid=False), drivers) == []
    assert devices.fitting(replace(MACHINE, hid=True), drivers) == []


def test_json_names_the_driver_and_why(drivers):
    listed = devices.as_json(MACHINE, devices.fitting(MACHINE, drivers))
    assert listed["drivers"] == [{"name": drivers[0].name, "why": "USB 1234:abcd names this machine"}]
    assert (listed["vid"], listed["pid"], listed["serial"]) == ("1234", "abcd", "S/7")
    assert devices.as_json(BARE, devices.fitting(BARE, drivers))["drivers"] == []


def test_scan_prints_toml_or_json_and_nothing_else():
    toml = command("devices", "scan")
    assert toml.returncode == 0
    tomllib.loads(toml.stdout)
    listed = json.loads(command("devices", "scan", "--format", "json").stdout)
    assert listed["schema"] == 1
    proposed = [port for port in listed["ports"] if port["drivers"] or not port["hid"]]
    assert toml.stdout.count("[[devices]]") == len(proposed)


def test_list_and_show_tell_what_the_running_service_says(tmp_path, machine_end):
    path = written(tmp_path, machine_end)
    with running(path):
        listed = json.loads(command("devices", "list", "--json", "--config", path).stdout)
        assert [(one["name"], one["driver"], one["port"]) for one in listed["devices"]] == [
            ("bp-1", "pm6750", machine_end)
        ]
        line = command("devices", "list", "--config", path).stdout
        assert line.split()[:2] == ["bp-1", "pm6750"]
        shown = command("devices", "show", "bp-1", "--config", path)
        assert shown.returncode == 0
        assert f"port            {machine_end}" in shown.stdout.splitlines()
        one = json.loads(command("devices", "show", "bp-1", "--json", "--config", path).stdout)
        assert one["device"]["orders"] == list(catalogue.every()["pm6750"].orders)
        wrong = command("devices", "show", "bp-2", "--config", path)
        assert (wrong.returncode, wrong.stdout) == (6, "")
        assert "bp-1" in wrong.stderr


def test_a_passport_is_written_and_shown_with_what_the_days_say(tmp_path, machine_end):
    path = written(tmp_path, machine_end)
    with running(path):
        words = ("--operator", "wang", "--config", path)
        due = ("--calibration-due", "1999-01-01")
        assert "overdue (1999-01-01)" in command("devices", "passport", "bp-1", *due, *words).stdout
        assert "calibration_due  1999-01-01" in command("devices", "show", "bp-1", "--config", path).stdout
        asked = json.loads(command("devices", "show", "bp-1", "--json", "--config", path).stdout)
        assert asked["history"]["passport"]["operator"] == "wang"
        assert asked["history"]["days"][0]["contacts"] == 1
        assert command("devices", "passport", "bp-1", "--made-on", "soon", *words).returncode != 0
        assert command("devices", "passport", "bp-2", *due, *words).returncode != 0


def test_without_a_service_the_status_is_5_and_says_so(tmp_path):
    path = written(tmp_path, "/dev/none")
    for words in (["list"], ["show", "bp-1"]):
        asked = command("devices", *words, "--config", path)
        assert (asked.returncode, asked.stdout) == (5, "")
        assert "service.unreachable" in asked.stderr


def test_the_adapter_and_whoever_holds_the_port_stand_beside_it(drivers, tmp_path, machine_end):
    (tmp_path / "sys/class/tty/ttyUSB0/device").mkdir(parents=True)
    (tmp_path / "sys/class/tty/ttyUSB0/device/driver").symlink_to("/sys/bus/usb-serial/drivers/ch341-uart")
    assert devices.looked_at(CHIP, tmp_path).adapter == "ch341-uart"
    seen = devices.looked_at(replace(CHIP, device=machine_end))
    assert seen.held is not None
    assert os.getpid() in [holder.process for holder in seen.held.by]
    listed = devices.as_json(CHIP, [], replace(seen, adapter="ch341-uart"))
    assert listed["adapter"] == "ch341-uart"
    assert {"process": os.getpid()}.items() <= listed["held_by"][0].items()
    stanza = devices.as_stanza(1, CHIP, drivers, replace(seen, adapter="ch341-uart"))
    assert "# adapter ch341-uart; held by " in stanza
    assert f"(process {os.getpid()})" in stanza


def test_nobody_seen_is_not_called_free():
    assert str(Held((), whole=True)) == "free"
    assert "only root sees every process" in str(Held((), whole=False))


def test_an_unknown_hid_device_is_named_and_nothing_is_proposed(drivers):
    mouse = PortInfo("/dev/hidraw4", 0x046D, 0xC077, None, "1-1", "Mouse", hid=True)
    stanza = devices.as_stanza(1, mouse, drivers)
    assert stanza.startswith("# /dev/hidraw4 046d:c077 Mouse: no driver names these USB ids")
    assert "[[devices]]" not in stanza


def test_a_line_behind_a_hid_chip_is_a_choice_of_line_machines_unless_its_ids_name_one(drivers):
    cable = PortInfo("/dev/hidraw2", 0x10C4, 0xEA80, "C1", "1-1", "CP2110", hid=True)
    stanza = devices.as_stanza(1, cable, drivers)
    assert tomllib.loads(stanza) == {}
    assert "taidoc_td42xx" in stanza
    assert "omron_hem790it" not in stanza
    [caresens] = devices.fitting(replace(cable, pid=0x8A32), drivers)
    assert caresens.name == "caresens"
    ready = devices.as_stanza(1, replace(cable, pid=0x8A32), drivers)
    assert tomllib.loads(ready)["devices"][0]["port"] == "usb:10c4:8a32:C1"


def test_a_machine_without_a_port_is_named_by_its_ids_and_no_line_machine_is(drivers):
    meter = PortInfo("/dev/bus/usb/001/004", 0x173A, 0x21D5, "S1", "1-1", bulk=Bulk(Path("x"), 0, 0x81, 2))
    assert [one.name for one in devices.fitting(meter, drivers)] == ["accu_chek_usb"]
    assert tomllib.loads(devices.as_stanza(1, meter, drivers))["devices"][0]["port"] == "usb:173a:21d5:S1"
    assert devices.fitting(replace(meter, bulk=None), drivers) == []


def test_several_machines_behind_the_same_ids_are_a_choice(drivers):
    twins = [replace(one, link=replace(one.link, usb=((0x1234, 0xABCD),))) for one in drivers[:2]]
    stanza = devices.as_stanza(1, MACHINE, twins)
    assert tomllib.loads(stanza) == {}
    assert (
        f"several machines carry these USB ids.\n# Choose the driver: {twins[0].name}, {twins[1].name}."
        in stanza
    )
