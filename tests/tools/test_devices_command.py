"""`devices scan | list | show`: stanzas that load, and the state the running service tells."""

import json
import os
import tomllib
from dataclasses import replace

import pytest

from drivers import catalogue
from drivers.catalogue import Driver
from gateway.config import load
from gateway.links.ports import PortInfo
from tests.tools.service import command, running, written
from tools import devices

CHIP = PortInfo(
    "/dev/ttyUSB0", 0x1A86, 0x7523, None, "1-1", "USB Serial", "/dev/serial/by-id/usb-1a86-if00-port0"
)
MACHINE = PortInfo("/dev/ttyACM0", 0x1234, 0xABCD, "S/7", "1-2", 'Scale "Q"', None)
BARE = PortInfo("/dev/ttyS0")


@pytest.fixture
def drivers() -> list[Driver]:
    """Every driver, one of them with USB ids that name its machine."""
    [first, *rest] = catalogue.every().values()
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
    assert all(driver.name in stanza for driver in drivers)
    assert "checkup-gateway listen /dev/serial/by-id/usb-1a86-if00-port0" in stanza


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
    assert toml.stdout.count("[[devices]]") == len(listed["ports"])


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


def test_without_a_service_the_status_is_5_and_says_so(tmp_path):
    path = written(tmp_path, "/dev/none")
    for words in (["list"], ["show", "bp-1"]):
        asked = command("devices", *words, "--config", path)
        assert (asked.returncode, asked.stdout) == (5, "")
        assert "service.unreachable" in asked.stderr
