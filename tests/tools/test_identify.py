"""`devices identify`: what machines say by themselves, weighed by every driver; nothing is ever sent."""

import json
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest

from drivers.catalogue import Driver, Hid, Serial, every
from gateway.config import load
from protocol.transcript import Heard as Said
from protocol.transcript import parse
from tests.tools.programs import TRANSCRIPTS, appears, device, run, running
from tools import identify
from tools.identify import Candidate, Heard, ranked, sure, weighed

LINE = b"2026,07,11,09,05,                    ,0,120,080,072,0\r\n"
WEIGHTY = 0.1
"""From there on what a machine says should tell which it is."""


def heard(driver: Driver, chunks: tuple[bytes, ...]) -> Heard:
    if isinstance(driver.link, Hid):
        return Heard(driver.link, lined=False, seconds=1.0, chunks=chunks)
    return Heard(Serial(), lined=False, seconds=1.0, chunks=chunks)


def chunks_of(file: Path) -> tuple[bytes, ...]:
    return tuple(turn.data for turn in parse(file.read_text()).turns if isinstance(turn, Said))


def names(candidates: list[Candidate]) -> list[str]:
    return [one.driver.name for one in candidates]


WIRED = [one for one in every().values() if isinstance(one.link, Serial | Hid)]


@pytest.mark.parametrize("name", [one.name for one in WIRED if not one.experimental])
def test_what_a_machine_says_tells_its_driver(name: str) -> None:
    """Every transcript that its driver understands as it comes is its driver's, or at least also its."""
    driver = every()[name]
    for file in sorted(TRANSCRIPTS.glob(f"{name}-*.txt")):
        said = heard(driver, chunks_of(file))
        own = weighed(driver, said) if said.chunks else None
        if own is not None and own.weight >= WEIGHTY:
            assert name in names(sure(ranked(WIRED, [said]))), file.name


def test_a_check_code_weighs_more_than_the_shape_of_a_line() -> None:
    chunks = chunks_of(TRANSCRIPTS / "sinocare_sn-live.txt")
    checked = weighed(every()["sinocare_sn"], heard(every()["sinocare_sn"], chunks))
    shaped = weighed(every()["omron_hbp"], heard(every()["omron_hbp"], (LINE,)))
    assert checked is not None
    assert shaped is not None
    assert checked.noticed == 1.0
    assert shaped.noticed < identify.CHECKED
    assert "with a check code" in checked.why
    assert "by their shape only" in shaped.why


@pytest.mark.parametrize("noise", [b"", bytes(300), b"\xff" * 300, b"hello world\r\n" * 9, bytes(range(256))])
def test_of_noise_no_driver_is_made(noise: bytes) -> None:
    assert ranked(every().values(), [Heard(Serial(), chunks=(noise,))]) == []


def test_a_driver_of_one_source_is_never_proposed() -> None:
    for driver in (one for one in every().values() if one.experimental):
        for file in TRANSCRIPTS.glob(f"{driver.name}-*.txt"):
            said = heard(driver, chunks_of(file))
            assert driver.name not in names(ranked(every().values(), [said]))


def test_a_line_setting_that_is_not_the_drivers_stands_in_the_stanza(tmp_path: Path) -> None:
    said = Heard(Serial(1200, 7, "N", 1), chunks=(LINE,))
    text = identify.stanza("/dev/ttyUSB0", ranked(every().values(), [said]))
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    [stated] = load(path, {}).devices
    assert (stated.driver, stated.baudrate, stated.bytesize, stated.parity) == ("omron_hbp", 1200, 7, "N")
    assert "compare the first value" in text
    assert "120" not in text.replace("1200", ""), "a value is nobody's business in a configuration"


def test_drivers_that_cannot_be_told_apart_are_a_choice() -> None:
    [best] = ranked(every().values(), [Heard(Serial(), chunks=(LINE,))])
    twin = Candidate(every()["gtech_gl"], best.heard, 1, 1, 0, best.noticed, best.covered, ())
    text = identify.stanza("/dev/ttyUSB0", [best, twin])
    assert tomllib.loads(text) == {}
    assert "does not tell these apart: omron_hbp, gtech_gl" in text


def test_each_setting_is_tried_once_and_the_drivers_own_first() -> None:
    drivers = list(every().values())
    settings = [one.device for one in identify.settings_to_try("/dev/ttyUSB0", drivers, ())]
    own = {(one.link.baudrate, one.link.parity) for one in drivers if isinstance(one.link, Serial)}
    assert len(settings) == len(set(settings))
    first = settings[: len(settings) - len(identify.USUAL)]
    tried = {(one.baudrate, one.parity) for one in settings if isinstance(one, Serial)}
    assert own <= tried
    assert first
    assert {one.baudrate for one in settings if isinstance(one, Serial)} >= set(identify.USUAL)
    only = [one.device for one in identify.settings_to_try("/dev/ttyUSB0", drivers, (19200,))]
    assert {one.baudrate for one in only if isinstance(one, Serial)} == {19200}
    assert [one.device for one in identify.settings_to_try("/dev/hidraw3", drivers, ())] == [Hid(64, ())]
    assert len(identify.settings_to_try("socket://127.0.0.1:9", drivers, ())) == 1


@pytest.mark.parametrize("driver", ["omron_hbp", "gtech_gl", "scale_st_gs"])
def test_a_simulated_machine_is_identified_by_listening(tmp_path: Path, driver: str) -> None:
    port = tmp_path / "port"
    with running("simulate", driver, "--pty", port, "--interval", "0.2") as machine:
        appears(port)
        done = run("devices", "identify", port, "--seconds", "2", "--json")
        machine.terminate()
        told = machine.communicate()[0]
    document = json.loads(done.stdout)
    assert done.returncode == 0, document
    assert document["candidates"][0]["driver"] == driver
    assert document["candidates"][0]["why"]
    assert [one["setting"] for one in document["heard"]] == ["any line setting"]
    assert tomllib.loads(document["stanza"])["devices"][0] == {
        "name": f"{driver}-1",
        "driver": driver,
        "port": str(port),
    }
    assert "violation" not in told


def test_it_never_sends_and_says_what_it_heard(tmp_path: Path) -> None:
    with device(tmp_path / "port") as master:
        master.write(LINE)
        done = run("devices", "identify", tmp_path / "port", "--seconds", "0.2")
        assert sent_to(master) == b""
    assert done.returncode == 0
    assert tomllib.loads(done.stdout)["devices"][0]["driver"] == "omron_hbp"
    assert LINE[:8].hex(" ") in done.stderr
    assert "systolic 120" in done.stderr


def sent_to(master: IO[bytes]) -> bytes:
    """Return what the host sent: once it has closed the port, the line hangs up behind its last byte."""
    with suppress(OSError):
        return master.read(1)
    return b""


def test_silence_is_said_and_is_no_success(tmp_path: Path) -> None:
    with device(tmp_path / "port"):
        done = run("devices", "identify", tmp_path / "port", "--seconds", "0.1")
    assert done.returncode == 1
    assert "nothing in 0.1 s" in done.stderr
    assert done.stdout.startswith("#")
    assert tomllib.loads(done.stdout) == {}


def test_a_port_that_is_not_there_has_the_devices_status(tmp_path: Path) -> None:
    done = run("devices", "identify", tmp_path / "nothing", "--baudrate", "9600", "--seconds", "0.1")
    assert done.returncode == 4
    assert "link.unavailable" in done.stderr
