"""Bluetooth in the configuration, in the service's composition, and its absence where nobody needs it."""

import subprocess
import sys
from pathlib import Path

import pytest

from drivers.catalogue import Advertisement, Gatt, every
from gateway.config import Config, load
from gateway.links.ble_bluez import UNIT
from gateway.links.opening import open_link
from protocol.errors import ConfigError, Unavailable

DEVICE = '[[devices]]\nname = "m-1"\ndriver = "{}"\nport = "{}"\n'


@pytest.fixture
def config(tmp_path: Path):
    def config(text: str) -> Config:
        path = tmp_path / "gateway.toml"
        path.write_text(text, encoding="utf-8")
        return load(path, {})

    return config


def test_an_address_is_a_port_however_its_letters_are_written(config):
    [device] = config(DEVICE.format("sinocare_ble", "ble:aa:bb:cc:dd:ee:0f")).devices
    assert device.port == "ble:AA:BB:CC:DD:EE:0F"


@pytest.mark.parametrize("port", ["ble:AA:BB:CC:DD:EE", "ble:AA-BB-CC-DD-EE-FF", "ble:", "ble:hci0"])
def test_what_is_no_address(config, port):
    with pytest.raises(ConfigError, match=r"devices\[0\].port"):
        config(DEVICE.format("sinocare_ble", port))


def test_the_same_machine_twice(config):
    text = DEVICE.format("sinocare_ble", "ble:aa:bb:cc:dd:ee:ff") + DEVICE.format(
        "sinocare_ble", "ble:AA:BB:CC:DD:EE:FF"
    ).replace("m-1", "m-2")
    with pytest.raises(ConfigError, match="already"):
        config(text)


def test_a_driver_and_a_port_that_do_not_belong_together(config):
    for driver, port in (("sinocare_ble", "/dev/ttyUSB0"), ("omron_hbp", "ble:AA:BB:CC:DD:EE:FF")):
        with pytest.raises(ConfigError, match=r"devices\[0\].port: this"):
            config(DEVICE.format(driver, port))


def test_the_adapter_and_the_passkeys(config):
    text = '[bluetooth]\nadapter = "{}"\npasskey_files = {{ "{}" = "/etc/passkey" }}\n'
    told = config(text.format("hci1", "aa:bb:cc:dd:ee:ff")).bluetooth
    assert (told.adapter, told.passkey_files) == ("hci1", {"AA:BB:CC:DD:EE:FF": Path("/etc/passkey")})
    assert (
        config(text.format("aa:bb:cc:dd:ee:01", "AA:BB:CC:DD:EE:FF")).bluetooth.adapter == "AA:BB:CC:DD:EE:01"
    )
    for adapter, address in (("usb0", "AA:BB:CC:DD:EE:FF"), ("hci0", "meter")):
        with pytest.raises(ConfigError, match="bluetooth"):
            config(text.format(adapter, address))
    assert config("").bluetooth == Config().bluetooth


async def test_without_a_radio_nothing_bluetooth_is_opened():
    for device in (Gatt(("2A35",), "2A35"), Advertisement()):
        with pytest.raises(Unavailable) as refused:
            await open_link("ble:AA:BB:CC:DD:EE:FF", device)
        assert refused.value.code == "radio.none"


PROGRAM = """
import asyncio, sys
from pathlib import Path
from gateway.app import Gateway
from gateway.config import load

async def main():
    gateway = Gateway(load(Path(sys.argv[1]), {}))
    gateway.close()
    return gateway.radio

radio = asyncio.run(main())
print(radio is not None, sorted({"bleak", "dbus_fast"} & sys.modules.keys()))
"""


@pytest.mark.parametrize(
    ("driver", "port", "said"),
    [
        ("omron_hbp", "/dev/null", "False []"),
        ("sinocare_ble", "ble:AA:BB:CC:DD:EE:FF", "True ['bleak', 'dbus_fast']"),
    ],
)
def test_bleak_is_imported_only_where_a_device_needs_it(tmp_path, driver, port, said):
    path = tmp_path / "gateway.toml"
    path.write_text(f'state = "{tmp_path}"\n' + DEVICE.format(driver, port))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == said


def test_the_service_s_user_may_use_bluetooth_and_restart_that_service_and_nothing_else():
    systemd = Path(__file__).parents[2] / "systemd"
    rule = (systemd / "50-checkup-gateway-bluetooth.rules").read_text()
    for word in ("org.freedesktop.systemd1.manage-units", f'"{UNIT}"', '"restart"', '"checkup-gateway"'):
        assert rule.count(word) == 1
    assert "m checkup-gateway bluetooth" in (systemd / "checkup-gateway.sysusers").read_text().splitlines()
    assert "Restart=on-failure" in (systemd / "bluetooth-restart.conf").read_text().splitlines()


@pytest.mark.parametrize("name", ["eufy_p2", "xiaomi_scale"])
def test_the_address_of_a_machine_is_its_port_s_unless_another_is_stated(name):
    driver = every()[name]
    assert driver.stated({}, "ble:AA:BB:CC:DD:EE:0F")["mac"] == "AA:BB:CC:DD:EE:0F"
    assert driver.stated({"mac": "00:11:22:33:44:55"}, "ble:AA:BB:CC:DD:EE:0F")["mac"] == "00:11:22:33:44:55"
    assert "mac" not in every()["sig_weight_scale"].stated({}, "ble:AA:BB:CC:DD:EE:0F")


def test_a_key_is_enough_where_the_port_tells_the_address(config):
    text = DEVICE.format("xiaomi_scale", "ble:8C:D0:B2:F6:BE:EF")
    config(text)
    config(text + 'settings.bindkey = "0728974d657a4b60964c1b1677f35f7c"\n')
    with pytest.raises(ConfigError, match="bindkey"):
        config(text + 'settings.bindkey = "0728"\n')
