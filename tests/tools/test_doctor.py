"""doctor against real files, a real journal, real servers and a real pseudo-terminal."""

import getpass
import grp
import json
import os
import sqlite3
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.clock import Clock
from gateway.config import DeviceConfig, load_with_origins
from store.facts import ExamClosed, ExamOpened
from store.journal import Journal
from tests.tools.secure import UNTIL_2001, UNTIL_2099, answering, trusting
from tests.tools.service import command, http_port, running, written
from tools import fixes
from tools.checks import Box, centre, ports, software, storage, times


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path, "/dev/none")


@pytest.fixture
def box(path: Path, tmp_path: Path) -> Box:
    return Box(load_with_origins(path, {}), root=tmp_path, unit=lambda name: "")


def with_centre(tmp_path: Path, url: str, unit: str = "") -> Box:
    path = written(tmp_path, "/dev/none")
    path.write_text(path.read_text() + f'[fhir]\nurl = "{url}"\n')
    return Box(load_with_origins(path, {}), root=tmp_path, unit=lambda name: unit)


def device(port: str) -> DeviceConfig:
    return DeviceConfig(name="bp-1", driver="pm6750", port=port)


def test_every_line_has_a_number_a_result_and_what_to_do(path):
    told = command("doctor", "--config", path)
    assert told.returncode == 1
    numbered = [line for line in told.stdout.splitlines() if not line.startswith("        ")]
    assert [int(line[:2]) for line in numbered] == list(range(1, len(numbered) + 1))
    assert {line.split()[1] for line in numbered} <= {"ok", "warn", "fail"}
    assert any("fail port of bp-1: /dev/none is not there" in line for line in numbered)
    assert "        run:   checkup-gateway devices scan" in told.stdout.splitlines()


def test_json_has_the_same_checks_and_every_trouble_says_more(path):
    told = command("doctor", "--json", "--config", path)
    document = json.loads(told.stdout)
    assert (told.returncode, told.stderr, document["schema"]) == (1, "", 1)
    assert [check["number"] for check in document["checks"]] == list(range(1, len(document["checks"]) + 1))
    for check in document["checks"]:
        assert check["result"] == "ok" or check["means"] or check["do"] or check["run"]
    names = {check["name"] for check in document["checks"]}
    assert {
        "versions",
        "configuration",
        "state folder",
        "journal",
        "clock",
        "real-time clock",
        "disk",
        "exams",
        "hot-plug",
        "outbox",
        "centre",
    } <= names


def test_a_wrong_configuration_is_one_failed_line_with_the_key(tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text("[http]\nprot = 1\n")
    told = command("doctor", "--config", path)
    assert told.returncode == 1
    assert 'http.prot: unknown key, did you mean "port"?' in told.stdout


def test_a_running_service_on_a_good_box_has_no_failure(tmp_path):
    ours, theirs = os.openpty()
    try:
        path = written(tmp_path, os.ttyname(theirs))
        os.close(theirs)
        with running(path) as base:
            told = command("doctor", "--json", "--config", path)
    finally:
        os.close(ours)
    found = {check["name"]: check for check in json.loads(told.stdout)["checks"]}
    at_fault = {name for name, check in found.items() if check["result"] == "fail"}
    in_memory = found["disk"]["facts"]["file_system"] in storage.MEMORY_DISKS  # as /tmp is on many machines
    assert at_fault == ({"disk"} if in_memory else set())
    assert told.returncode == in_memory
    assert found["service"]["found"] == f"{base} is ready"
    assert found["port of bp-1"]["found"].endswith("open by the gateway")
    assert "facts" in found["journal"]["found"]


def filled(box: Box) -> Path:
    """Make a journal with a few facts and close it."""
    path = box.config.state / "journal.db"
    journal = Journal.open(path, gateway="box", now=Clock().now)
    resident = journal.submit(lambda tx: tx.resident_for([], "Ada")).result().id
    for number in range(5):
        opened = ExamOpened(exam=f"e{number}", resident=resident, operator="o")
        journal.submit(lambda tx, opened=opened: tx.append(opened)).result()
        closed = ExamClosed(exam=f"e{number}", operator="o")
        journal.submit(lambda tx, closed=closed: tx.append(closed)).result()
    journal.close()
    return path


def test_a_sound_journal_is_ok_and_a_changed_one_is_named(box):
    path = filled(box)
    good = storage.journal(box)
    assert (good.result, "10 facts" in good.found) == ("ok", True)
    connection = sqlite3.connect(path)
    kept = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in kept:
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("UPDATE facts SET id = 'other' WHERE seq = 3")
    for _, made in kept:
        connection.execute(made)
    connection.commit()
    connection.close()
    bad = storage.journal(box)
    assert bad.result == "fail"
    assert "fact 3" in bad.found


def test_the_journal_is_read_while_the_service_writes_it(box):
    filled(box)
    writing = Journal.open(box.config.state / "journal.db", gateway="box", now=Clock().now)
    assert storage.journal(box).result == "ok"
    assert storage.outbox(box).result == "ok"
    writing.close()


def test_a_file_that_is_no_journal_is_no_traceback(box):
    box.config.state.mkdir(mode=0o700)
    (box.config.state / "journal.db").write_bytes(b"not a database at all" * 100)
    told = storage.journal(box)
    assert told.result == "fail"
    assert "file is not a database" in told.found


def test_a_state_folder_others_may_read_is_a_failure_with_its_cure(box):
    box.config.state.mkdir()
    box.config.state.chmod(0o755)
    told = storage.state_folder(box)
    assert (told.result, told.run) == ("fail", f"chmod 700 {box.config.state}")
    box.config.state.chmod(0o700)
    assert storage.state_folder(box).result == "ok"


def test_who_holds_a_port_is_named(box):
    ours, theirs = os.openpty()
    name = os.ttyname(theirs)
    whole = replace(box, root=Path("/"))
    held = ports.port(whole, device(name))
    assert held.result == "fail"
    assert f"process {os.getpid()}" in held.found
    os.close(theirs)
    assert ports.port(whole, device(name)).result == "ok"
    os.close(ours)


def test_a_port_is_never_opened(box, tmp_path):
    """Opening this one would wait for ever: nobody is at its other end."""
    os.mkfifo(tmp_path / "port")
    assert ports.port(box, device(str(tmp_path / "port"))).result == "ok"


def test_a_usb_machine_that_is_not_plugged_in(box):
    told = ports.port(box, device("usb:1234:abcd"))
    assert told.result == "fail"
    assert "link.unavailable" in told.found


def test_a_hid_machine_is_looked_up_among_hid_devices(box, tmp_path):
    node = tmp_path / "sys/class/hidraw/hidraw0/device"
    node.mkdir(parents=True)
    (node / "uevent").write_text("HID_ID=0003:00000590:00000028\n")
    (tmp_path / "dev").mkdir()
    os.mkfifo(tmp_path / "dev/hidraw0")
    assert ports.port(box, device("usb:0590:0028")).result == "fail"
    monitor = device("usb:0590:0028").model_copy(update={"driver": "omron_hem790it"})
    assert ports.port(box, monitor).result == "ok"


def test_a_port_behind_a_network_is_not_tried(box):
    assert ports.port(box, device("socket://127.0.0.1:9")).result == "ok"


def test_udev_and_modem_manager_are_seen_under_the_root(box, tmp_path):
    assert ports.hot_plug(box).result == "warn"
    (tmp_path / "run/udev").mkdir(parents=True)
    (tmp_path / "run/udev/control").touch()
    assert ports.hot_plug(box).result == "ok"
    assert ports.other_speakers(box).result == "ok"
    (tmp_path / "proc/42").mkdir(parents=True)
    (tmp_path / "proc/42/comm").write_text("ModemManager\n")
    assert ports.other_speakers(box).result == "warn"


@pytest.mark.parametrize(
    ("status", "body", "result"),
    [
        (200, '{"resourceType": "CapabilityStatement"}', "ok"),
        (200, '{"resourceType": "Patient"}', "fail"),
        (200, "<html>log in to the guest network</html>", "fail"),
        (200, "[]", "fail"),
        (404, "", "fail"),
        (401, "", "fail"),
    ],
)
def test_the_centre_is_judged_by_its_answer(tmp_path, status, body, result):
    with answering(body, None, tmp_path, status) as url:
        told = centre.centre(with_centre(tmp_path, url))
    assert told.result == result
    assert told.result == "ok" or str(status) in told.found


def test_being_offline_is_a_state_and_no_failure(tmp_path, path):
    told = centre.centre(with_centre(tmp_path, f"http://127.0.0.1:{http_port(path)}/fhir"))
    assert told.result == "warn"
    assert "stored here" in told.means


def test_no_centre_and_no_device_are_said(box):
    assert centre.centre(box).result == "ok"
    assert software.service(box).result == "warn"


@pytest.mark.parametrize(
    ("url", "unit", "result"),
    [
        ("http://centre.example/fhir", "127.0.0.0/8 ::1/128", "fail"),
        ("http://centre.example/fhir", "127.0.0.0/8 ::1/128 192.0.2.10/32", "ok"),
        ("http://127.0.0.1:8080/fhir", "127.0.0.0/8 ::1/128", "ok"),
        ("http://centre.example/fhir", "", "ok"),
    ],
)
def test_a_unit_that_shuts_the_centre_out_is_found(tmp_path, url, unit, result):
    assert centre.way_out(with_centre(tmp_path, url, unit)).result == result


def at(box: Box, moment: str) -> Box:
    return replace(box, now=lambda: datetime.fromisoformat(moment).replace(tzinfo=UTC))


def test_an_exam_forgotten_open_is_found(box):
    assert storage.people(box).result == "ok"
    journal = Journal.open(box.journal, gateway="box", now=Clock().now)
    journal.submit(lambda tx: tx.append(ExamOpened(exam="e", resident="r", operator="o"))).result()
    journal.close()
    assert storage.people(box).result == "ok"
    later = replace(box, now=lambda: datetime.now(UTC) + timedelta(days=1))
    told = storage.people(later)
    assert (told.result, told.facts["forgotten"]) == ("warn", True)
    assert "next person" in told.means


def kernel_disk(box: Box, **files: str) -> None:
    """Lay out what the kernel tells of the disk under the state folder: `sys/…` with __ for a slash."""
    number = box.config.state.parent.stat().st_dev
    disk = box.root / "sys/devices/mmcblk0"
    (disk / "mmcblk0p2").mkdir(parents=True)
    (disk / "mmcblk0p2/partition").write_text("2")
    (disk / "device").mkdir()
    (box.root / "sys/dev/block").mkdir(parents=True)
    (box.root / f"sys/dev/block/{os.major(number)}:{os.minor(number)}").symlink_to(disk / "mmcblk0p2")
    (box.root / "sys/fs/ext4/mmcblk0p2").mkdir(parents=True)
    for name, content in files.items():
        (box.root / name.replace("__", "/")).write_text(f"{content}\n")


def mounted(box: Box, system: str) -> None:
    (box.root / "proc/self").mkdir(parents=True)
    lines = [
        "22 1 0:5 / / rw - ext4 /dev/root rw",
        f"30 22 0:44 / {box.root} rw,relatime shared:1 - {system} x rw",
    ]
    (box.root / "proc/self/mountinfo").write_text("\n".join(lines))


@pytest.mark.parametrize(
    ("system", "result", "word"),
    [
        ("ext4", "ok", "ext4, writable"),
        ("tmpfs", "fail", "gone with the power"),
        ("nfs4", "fail", "network disk"),
        ("fuse.sshfs", "fail", "network disk"),
    ],
)
def test_a_disk_that_does_not_keep_is_found(box, system, result, word):
    mounted(box, system)
    told = storage.disk(box)
    assert told.result == result
    assert word in told.found + told.means
    assert told.facts["file_system"] == system


@pytest.mark.parametrize(
    ("files", "result"),
    [
        ({"sys__fs__ext4__mmcblk0p2__errors_count": "0"}, "ok"),
        ({"sys__fs__ext4__mmcblk0p2__errors_count": "3"}, "fail"),
        ({"sys__devices__mmcblk0__device__pre_eol_info": "0x01"}, "ok"),
        ({"sys__devices__mmcblk0__device__pre_eol_info": "0x02"}, "warn"),
        ({"sys__devices__mmcblk0__device__pre_eol_info": "0x03"}, "fail"),
        ({}, "ok"),
    ],
)
def test_a_medium_that_fails_is_found(box, files, result):
    kernel_disk(box, **files)
    told = storage.disk(box)
    assert told.result == result
    assert result == "ok" or "journal backup" in told.run


def test_the_clock_is_judged_by_its_year_and_by_who_keeps_it(box, tmp_path):
    back = times.clock(at(box, "1970-01-02T00:00:00"))
    assert (back.result, back.facts["year"]) == ("fail", 1970)
    (tmp_path / "proc/7").mkdir(parents=True)
    (tmp_path / "proc/7/comm").write_text("chronyd\n")
    assert times.clock(box).facts["kept_by"] == "chronyd"


@pytest.mark.parametrize(
    ("said", "result", "apart"),
    [(None, "warn", None), (1_800_000_000, "ok", 0), (1_800_000_090, "warn", 90), ("junk", "warn", None)],
)
def test_the_real_time_clock_is_held_beside_the_wall_clock(box, tmp_path, said, result, apart):
    if said is not None:
        (tmp_path / "sys/class/rtc/rtc0").mkdir(parents=True)
        (tmp_path / "sys/class/rtc/rtc0/since_epoch").write_text(f"{said}\n")
    told = times.real_time_clock(replace(box, now=lambda: datetime.fromtimestamp(1_800_000_000, UTC)))
    assert (told.result, told.facts.get("apart_s")) == (result, apart)


@pytest.mark.parametrize(("program", "cure"), [("ModemManager", "modemmanager"), ("brltty", "brltty")])
def test_programs_that_touch_ports_are_named(box, tmp_path, program, cure):
    (tmp_path / "proc/42").mkdir(parents=True)
    (tmp_path / "proc/42/comm").write_text(f"{program}\n")
    told = ports.other_speakers(box)
    assert told.result == "warn"
    assert told.run == f"apt remove {cure}"


def test_a_port_the_service_may_not_open_is_told_with_the_group(box, tmp_path):
    """Even where root asks: what counts is the user whom the unit names."""
    node = tmp_path / "ttyS9"
    node.touch()
    node.chmod(0o660)
    group = grp.getgrnam("dialout").gr_gid
    if os.geteuid() == 0:
        os.chown(node, 0, group)
    told = ports.port(replace(box, unit=lambda name: "nobody\n" if name == "User" else ""), device(str(node)))
    assert told.result == "fail"
    assert "may not be opened by nobody" in told.found
    assert "usermod -aG" in told.run or "60-checkup-gateway.rules" in told.do
    node.chmod(0o666)
    assert ports.port(replace(box, unit=lambda name: "nobody"), device(str(node))).result == "ok"


def test_a_locked_port_is_told_even_without_the_right_to_look_into_the_process(box, tmp_path):
    node = tmp_path / "ttyS9"
    node.touch()
    status = node.stat()
    (tmp_path / "proc/77").mkdir(parents=True)
    (tmp_path / "proc/77/comm").write_text("minicom\n")
    where = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    (tmp_path / "proc/locks").write_text(f"1: FLOCK  ADVISORY  WRITE 77 {where} 0 EOF\n")
    told = ports.port(box, device(str(node)))
    assert (told.result, told.run) == ("fail", "ps 77")
    assert "minicom (process 77)" in told.found
    (tmp_path / "proc/locks").unlink()
    (tmp_path / "run/lock").mkdir(parents=True)
    (tmp_path / "run/lock/LCK..ttyS9").write_text("        77\n")
    assert "minicom" in ports.port(box, device(str(node))).found


def test_two_devices_on_one_port_and_a_fleeting_name_are_found(tmp_path):
    for folder in ("sys/class/tty/ttyUSB0/device", "dev/serial/by-id"):
        (tmp_path / folder).mkdir(parents=True)
    node, lasting = tmp_path / "dev/ttyUSB0", tmp_path / "dev/serial/by-id/usb-1a86-port0"
    node.touch()
    lasting.symlink_to(node)
    path = written(tmp_path, str(node))
    alone = Box(load_with_origins(path, {}), root=tmp_path, unit=lambda name: "")
    told = ports.port(alone, device(str(node)))
    assert (told.result, told.facts["fleeting"]) == ("warn", True)
    assert str(lasting) in told.do
    path.write_text(path.read_text() + f'[[devices]]\nname = "bp-2"\ndriver = "pm6750"\nport = "{lasting}"\n')
    both = Box(load_with_origins(path, {}), root=tmp_path, unit=lambda name: "")
    told = ports.port(both, device(str(node)))
    assert (told.result, told.facts["shared"]) == ("fail", True)
    assert "bp-2 has the same port" in told.found


CAPABLE = '{"resourceType": "CapabilityStatement"}'


@pytest.mark.parametrize(
    ("date", "result", "apart"),
    [
        ("Fri, 15 Jan 2027 08:00:00 GMT", "ok", 0),
        ("Fri, 15 Jan 2027 08:00:30 GMT", "ok", 30),
        ("Fri, 15 Jan 2027 07:58:00 GMT", "warn", -120),
        ("no date at all", "ok", None),
        ("", "ok", None),
    ],
)
def test_the_centres_clock_is_held_beside_ours(tmp_path, date, result, apart):
    with answering(CAPABLE, None, tmp_path, date=date) as url:
        told = centre.centre(at(with_centre(tmp_path, url), "2027-01-15T08:00:00"))
    assert (told.result, told.facts.get("clock_apart_s")) == (result, apart)


@pytest.mark.parametrize(
    ("now", "result", "days"),
    [("2027-01-01", "ok", 26662), ("2099-12-20", "warn", 11), ("2099-12-30", "warn", 1)],
)
def test_a_certificate_that_ends_soon_is_found(tmp_path, now, result, days):
    with answering(CAPABLE, UNTIL_2099, tmp_path) as url:
        trusted = replace(with_centre(tmp_path, url), trust=lambda: trusting(UNTIL_2099))
        told = centre.certificate(at(trusted, now))
        whole = centre.centre(trusted)
    assert (told.result, told.facts["days"]) == (result, days)
    assert whole.facts["answers"] is True


@pytest.mark.parametrize(
    ("shown", "trusted", "word"),
    [(UNTIL_2001, UNTIL_2001, "expired"), (UNTIL_2099, UNTIL_2001, "certificate")],
)
def test_a_certificate_that_is_not_accepted_is_a_failure(tmp_path, shown, trusted, word):
    with answering(CAPABLE, shown, tmp_path) as url:
        box = replace(with_centre(tmp_path, url), trust=lambda: trusting(trusted))
        told = centre.certificate(box)
        whole = centre.centre(box)
    assert told.result == "fail"
    assert word in told.found
    assert whole.result == "warn"


def test_a_certificate_is_asked_of_a_secure_centre_only(box, tmp_path):
    assert centre.certificate(box) is None
    assert centre.certificate(with_centre(tmp_path, "http://127.0.0.1:9/fhir")) is None
    unreached = centre.certificate(with_centre(tmp_path, "https://127.0.0.1:9/fhir"))
    assert unreached.result == "warn"


def with_token(tmp_path: Path) -> Box:
    path = written(tmp_path, "/dev/none")
    token = tmp_path / "token"
    path.write_text(path.read_text() + f'[fhir]\nurl = "http://127.0.0.1:9"\ntoken_file = "{token}"\n')
    return Box(load_with_origins(path, {}), root=tmp_path, unit=lambda name: "")


def test_the_token_is_there_for_few_eyes_and_not_empty(box, tmp_path):
    assert centre.token(box) is None
    ours = with_token(tmp_path)
    assert centre.token(ours).result == "fail"
    (tmp_path / "token").touch(mode=0o600)
    assert "empty" in centre.token(ours).found
    (tmp_path / "token").write_text("secret")
    assert centre.token(ours).result == "ok"
    (tmp_path / "token").chmod(0o644)
    told = centre.token(ours)
    assert (told.result, told.run) == ("fail", f"chmod o-rwx {tmp_path / 'token'}")
    assert "secret" not in str(told)


@pytest.mark.parametrize(
    ("more", "doubt", "result"),
    [
        ("", None, "ok"),
        ('log_level = "wire"', "talkative_log", "warn"),
        ('[fhir]\nurl = "http://127.0.0.1:9"', "gateway_name", "warn"),
    ],
)
def test_a_configuration_that_is_allowed_and_doubtful(tmp_path, more, doubt, result):
    told = software.configuration(Box(load_with_origins(written(tmp_path, "/dev/none", more), {})))
    assert (told.result, told.facts.get("doubt")) == (result, doubt)


def test_a_configuration_that_strangers_may_write_and_a_page_on_the_network(path):
    text = path.read_text()
    path.write_text(text.replace("[http]\n", '[http]\nhost = "0.0.0.0"\n'))
    assert software.configuration(Box(load_with_origins(path, {}))).facts["doubt"] == "page_on_network"
    path.chmod(0o666)
    told = software.configuration(Box(load_with_origins(path, {})))
    assert (told.result, told.run) == ("fail", f"chmod o-w {path}")


def test_what_is_safe_is_mended_said_and_mended_once(tmp_path):
    box = with_token(tmp_path)
    (tmp_path / "token").write_text("secret")
    (tmp_path / "token").chmod(0o664)
    box.config.state.mkdir(mode=0o755)
    (box.config.state / "journal.db").touch()
    (box.config.state / "journal.db").chmod(0o644)
    (tmp_path / "elsewhere").touch()
    (tmp_path / "elsewhere").chmod(0o644)
    (box.config.state / "link").symlink_to(tmp_path / "elsewhere")
    box.loaded.path.chmod(0o646)
    told = command("doctor", "--fix", "--json", "--config", box.loaded.path)
    fixed = json.loads(told.stdout)["fixed"]
    assert [one["done"] for one in fixed] == [True] * 4
    assert f"chmod 700 {box.config.state} (was 755)" in [one["what"] for one in fixed]
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (box.config.state, *tmp_path.iterdir())}
    assert modes[box.config.state] == 0o700
    assert modes[tmp_path / "token"] == 0o660
    assert modes[box.loaded.path] == 0o644
    assert modes[tmp_path / "elsewhere"] == 0o644, "what a link points to is somebody else's"
    assert stat.S_IMODE((box.config.state / "journal.db").stat().st_mode) == 0o600
    again = json.loads(command("doctor", "--fix", "--json", "--config", box.loaded.path).stdout)
    assert again["fixed"] == []


def test_the_missing_state_folder_is_made_for_whoever_runs_the_service(box, tmp_path):
    [made] = fixes.mend(replace(box, unit=lambda name: getpass.getuser()))
    assert made.done
    assert f"made {box.config.state}" in made.what
    assert stat.S_IMODE(box.config.state.stat().st_mode) == 0o700
    assert list(fixes.mend(box)) == []


def test_what_cannot_be_mended_is_said_and_nothing_is_mended_unasked(tmp_path, path):
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    command("doctor", "--config", path)
    assert stat.S_IMODE(state.stat().st_mode) == 0o755
    told = command("doctor", "--fix", "--config", path)
    assert f"   fixed: chmod 700 {state} (was 755)" in told.stdout.splitlines()
    state.rmdir()
    state.touch(0o600)
    assert list(fixes.mend(Box(load_with_origins(path, {})))) == []
