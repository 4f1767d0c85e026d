"""The unit, users, folders and udev rules, judged by systemd's own programs under a root of their own."""

import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from drivers import catalogue
from drivers.catalogue import AnyLink, Hid, Serial
from gateway.config import Config
from gateway.keys import CREDENTIAL, key_file

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNIT = SYSTEMD / "checkup-gateway.service"
PROGRAM = "/usr/bin/checkup-gateway"


def ran(*words: str | Path) -> str:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with the program of this environment in place of the installed one."""
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace(PROGRAM, str(Path(sys.executable).with_name("checkup-gateway"))))
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "etc").mkdir(parents=True)
    return folder


def settings() -> dict[str, list[str]]:
    lines = [
        line.partition("=") for line in UNIT.read_text().splitlines() if "=" in line and line[0] not in "#;"
    ]
    found: dict[str, list[str]] = {}
    for key, _, value in lines:
        found.setdefault(key, []).append(value)
    return found


def test_systemd_accepts_the_unit_without_a_word(unit):
    assert ran("systemd-analyze", "verify", "--man=no", unit) == ""


def test_exposure_stays_low(unit):
    text = ran("systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=20", unit)
    overall = re.search(r"Overall exposure level for \S+: ([0-9.]+)", text)
    assert overall is not None
    assert float(overall[1]) <= 1.9


def test_the_service_is_started_checked_and_watched():
    unit = settings()
    assert unit["Type"] == ["notify"]
    assert unit["ExecStartPre"] == [f"{PROGRAM} config check"]
    assert unit["ExecStart"] == [f"{PROGRAM} run"]
    assert unit["WatchdogSec"] == ["30"]
    assert unit["Restart"] == ["always"]
    assert Config().state == Path("/var/lib") / unit["StateDirectory"][0]


def test_what_the_service_must_do_is_not_forbidden():
    """Serial ports of every kind, udev's messages, the boot id, and the question whether the clock is set."""
    unit = settings()
    allowed = {line.split()[0] for line in unit["DeviceAllow"]}
    assert {
        "char-ttyUSB",
        "char-ttyACM",
        "char-ttyS",
        "char-ttyAMA",
        "char-hidraw",
        "char-usb_device",
    } <= allowed
    wanted = {"modprobe@usbserial.service", "modprobe@cdc_acm.service", "modprobe@usbhid.service"}
    assert wanted <= set(unit["Wants"][0].split())
    assert "AF_NETLINK" in unit["RestrictAddressFamilies"][0]
    assert "ProtectClock" not in unit
    assert unit["SystemCallFilter"][-1] == "adjtimex"
    assert unit["ProcSubset"] == ["all"]


def test_no_secret_stands_in_the_unit():
    assert "LoadCredential=fhir-token:" in UNIT.read_text()
    assert not re.search(
        r"(?im)^(Environment|SetCredential)\S*(token|password|secret)\S*=(?!%d)", UNIT.read_text()
    )


def test_what_the_service_leaves_on_the_disk_names_nobody():
    """No core dump, nothing on a swap disk; the key in a folder of its own beside the journal's."""
    unit = settings()
    assert (unit["LimitCORE"], unit["MemorySwapMax"]) == (["0"], ["0"])
    folders = [Path("/var/lib") / name for name in unit["StateDirectory"]]
    assert (unit["StateDirectoryMode"], unit["UMask"]) == (["0700"], ["0077"])
    assert folders == [Config().state, key_file(Config(), {}).parent]
    assert f"#LoadCredential={CREDENTIAL}:" in UNIT.read_text()


def test_sysusers_makes_a_user_that_may_open_serial_ports(root):
    ran("systemd-sysusers", f"--root={root}", SYSTEMD / "checkup-gateway.sysusers")
    passwd = (root / "etc/passwd").read_text()
    assert re.search(r"(?m)^checkup-gateway:x:\d+:\d+:.*:/var/lib/checkup-gateway:\S*nologin$", passwd)
    assert re.search(r"(?m)^dialout:x:\d+:(.*,)?checkup-gateway$", (root / "etc/group").read_text())


def test_tmpfiles_keeps_the_configuration_from_others(root):
    ran("systemd-sysusers", f"--root={root}", SYSTEMD / "checkup-gateway.sysusers")
    folder = root / "etc/checkup-gateway"
    folder.mkdir()
    shutil.copy(SYSTEMD / "gateway.toml", folder)
    (folder / "fhir-token").touch()
    ran("systemd-tmpfiles", f"--root={root}", "--create", SYSTEMD / "checkup-gateway.tmpfiles")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}
    assert modes == {"checkup-gateway": 0o750, "gateway.toml": 0o640, "fhir-token": 0o600}


RULE = re.compile(
    r'(?:(?:ACTION|SUBSYSTEM|SUBSYSTEMS|ATTRS?\{\w+\}|ENV\{\w+\})(?:==|!=|=)"[^"]*"'
    r'|(?:GROUP|MODE|LABEL|GOTO)="[^"]*"|(?:TAG|SYMLINK)\+="[^"]*")'
)


def rules(text: str) -> list[list[str]]:
    """Return each rule's parts; Debian 12 has no `udevadm verify`, so the grammar used is checked here."""
    found = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            parts = line.split(", ")
            assert all(RULE.fullmatch(part) for part in parts), line
            found.append(parts)
    return found


def test_udev_rules_are_well_formed_and_every_jump_has_its_label():
    text = (SYSTEMD / "60-checkup-gateway.rules").read_text()
    parts = [part for rule in rules(text) for part in rule]
    labels = {part.removeprefix("LABEL=") for part in parts if part.startswith("LABEL=")}
    assert {part.removeprefix("GOTO=") for part in parts if part.startswith("GOTO=")} == labels
    assert ['GROUP="dialout"', 'MODE="0660"', 'TAG+="systemd"'] in rules(text)
    assert rules(re.sub("(?m)^#(?=[A-Z])", "", text)), "the commented rules are rules too"


def test_a_name_of_its_own_is_given_to_every_usb_id_a_driver_knows_and_to_no_other():
    text = (SYSTEMD / "60-checkup-gateway.rules").read_text()
    named = re.findall(r'(?m)^ATTRS\{idVendor\}=="(\w{4})", ATTRS\{idProduct\}=="(\w{4})", SYMLINK', text)
    links = [one.link for one in catalogue.every().values() if isinstance(one.link, Serial | Hid)]
    known = {(f"{v:04x}", f"{p:04x}") for link in links if not bare(link) for v, p in link.usb}
    assert (set(named), len(named)) == (known, len(known))


def bare(link: AnyLink) -> bool:
    return isinstance(link, Serial) and link.bulk


def test_of_usb_devices_without_a_port_those_that_a_driver_names_are_opened_to_the_service():
    text = (SYSTEMD / "60-checkup-gateway.rules").read_text()
    opened = re.findall(
        r'(?m)^ATTR\{idVendor\}=="(\w{4})", ATTR\{idProduct\}=="(\w{4})", GROUP="dialout"', text
    )
    links = [one.link for one in catalogue.every().values() if bare(one.link)]
    assert sorted(opened) == sorted((f"{v:04x}", f"{p:04x}") for link in links for v, p in link.usb)


def test_of_hid_devices_only_known_ones_are_opened_to_the_service():
    text = (SYSTEMD / "60-checkup-gateway.rules").read_text()
    begin, end = text.index('LABEL="checkup_gateway_hid"'), text.index('LABEL="checkup_gateway_usb"')
    hid = rules(text[begin:end])[1:-1]
    assert hid
    for rule in hid:
        assert [part.partition("=")[0] for part in rule[:2]] == ["ATTRS{idVendor}", "ATTRS{idProduct}"]
        assert {'GROUP="dialout"', 'MODE="0660"'} <= set(rule)
