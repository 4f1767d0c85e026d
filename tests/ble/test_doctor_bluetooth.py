"""What doctor says of Bluetooth, against a stand-in for BlueZ on a real D-Bus."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from bus import Bluetoothd, bus_daemon, system_bus_at

from gateway.config import BluetoothConfig, Config, DeviceConfig, Loaded
from tools.checks import bluetooth
from tools.checks.report import Box

METER = DeviceConfig(name="bp-1", driver="sig_blood_pressure", port="ble:F0:F1:F2:F3:F4:01")
LINE = DeviceConfig(name="bp-2", driver="omron_hbp", port="/dev/ttyUSB0")


@pytest.fixture
def bluetoothd(tmp_path: Path) -> Iterator[Bluetoothd]:
    """Run the stand-in in a loop of its own: doctor has one, too."""
    with bus_daemon(tmp_path / "bus") as address, system_bus_at(address):
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        stood_in = Bluetoothd()
        asyncio.run_coroutine_threadsafe(stood_in.start(), loop).result(20)
        yield stood_in
        asyncio.run_coroutine_threadsafe(stood_in.end(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def box(root: Path, *devices: DeviceConfig, kernel: str = "6.12.107+deb13-amd64", wanted=None) -> Box:
    path = root / "proc/sys/kernel"
    path.mkdir(parents=True, exist_ok=True)
    (path / "osrelease").write_text(f"{kernel}\n")
    config = Config(devices=devices, bluetooth=BluetoothConfig(adapter=wanted))
    return Box(Loaded(config, root / "gateway.toml", {}), root)


def test_nothing_is_said_where_no_device_speaks_bluetooth(tmp_path):
    assert bluetooth.adapter(box(tmp_path, LINE)) is None
    assert bluetooth.port(LINE) is None


def test_a_machine_that_sleeps_is_no_fault():
    check = bluetooth.port(METER)
    assert (check.result, check.name) == ("ok", "port of bp-1")
    assert "F0:F1" not in str(check.facts), "an address never leaves the box"


def test_the_adapter_is_named(bluetoothd, tmp_path):
    check = bluetooth.adapter(box(tmp_path, METER))
    assert (check.result, check.found) == ("ok", "hci0 00:00:5E:00:53:00")
    bluetoothd.adapters["hci0"]["Powered"] = False
    assert "off" in bluetooth.adapter(box(tmp_path, METER)).found
    assert bluetoothd.calls == [], "nothing is switched on by looking"


def test_a_kernel_that_crashes_is_warned_of(bluetoothd, tmp_path):
    assert bluetooth.adapter(box(tmp_path, METER, kernel="6.1.0-44-amd64")).result == "warn"
    assert bluetooth.adapter(box(tmp_path, METER, kernel="6.18.2")).result == "ok"
    assert bluetooth.adapter(box(tmp_path, METER, kernel="")).result == "ok"


def test_what_is_missing_fails_with_its_code(bluetoothd, tmp_path):
    check = bluetooth.adapter(box(tmp_path, METER, wanted="hci7"))
    assert (check.result, check.facts["code"]) == ("fail", "radio.none")
    bluetoothd.adapters["hci1"] = {"Address": "00:00:5E:00:53:01", "Powered": True}
    assert bluetooth.adapter(box(tmp_path, METER)).facts["code"] == "radio.several"
    assert bluetooth.adapter(box(tmp_path, METER, wanted="00:00:5E:00:53:01")).result == "ok"


def test_no_bluetooth_service(tmp_path):
    with bus_daemon(tmp_path / "bus") as address, system_bus_at(address):
        assert bluetooth.adapter(box(tmp_path, METER)).facts["code"] == "radio.no_service"
