"""What may name a person is blanked in a recording where a driver can; the others say that they cannot."""

from pathlib import Path

import pytest

from drivers.catalogue import Decoded, Driver, Refusal, every
from drivers.omron_hbp import redact
from gateway.links.recorder import without_person
from protocol.framing import Frame
from protocol.readings import PERSONAL, Reading
from protocol.transcript import Heard, event_line, reading_line
from tests.play import TRANSCRIPTS, driver_of, read, settings_of

BLANKING = [driver for driver in every().values() if driver.redact]
ID = b"12345678901234567890"
FORMAT_5 = b"2026,07,11,09,05," + ID + b",0,120,080,072,0\r\n"


def shaped(path: Path) -> Driver:
    driver = driver_of(path)
    return driver.under(settings_of(driver, read(path)))


def heard(path: Path) -> list[Frame]:
    """Return every frame of a transcript."""
    framer = shaped(path).framer()
    said = b"".join(turn.data for turn in read(path).turns if isinstance(turn, Heard))
    return [piece for piece in [*framer.feed(said), *framer.finish()] if isinstance(piece, Frame)]


def nameless(item: Decoded) -> str:
    if isinstance(item, Refusal):
        return f"refused {item.code}"
    return reading_line(without_person(item)) if isinstance(item, Reading) else event_line(item)


@pytest.mark.parametrize("driver", BLANKING, ids=lambda driver: driver.name)
def test_a_blanked_frame_is_as_good_and_names_nobody(driver: Driver) -> None:
    assert driver.redact is not None
    mine = [path for path in TRANSCRIPTS if driver_of(path) is driver]
    found = [(shaped(path), frame.data) for path in mine for frame in heard(path)]
    assert found
    for made, data in found:
        blank = driver.redact(data)
        assert len(blank) == len(data)
        assert driver.redact(blank) == blank
        framer = made.framer()
        assert [*framer.feed(blank), *framer.finish()] == [Frame(blank)]
        before, after = list(made.decode([Frame(data)])), list(made.decode([Frame(blank)]))
        assert list(map(nameless, after)) == list(map(nameless, before))
        named = [item for item in after if isinstance(item, Reading) and PERSONAL & item.context.keys()]
        assert named == []


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_a_driver_whose_readings_name_somebody_blanks_it_or_says_so(path: Path) -> None:
    driver = shaped(path)
    said = [one for one in driver.decode(heard(path)) if isinstance(one, Reading)]
    named = [one for one in said if PERSONAL & one.context.keys()]
    assert not named or driver.redact or driver.names_people


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (FORMAT_5, FORMAT_5.replace(ID, b" " * 20)),
        (b"bp," + ID + b",2023/04/27,15:06,140,098,077,068,3\r", None),
        (b"ID" + ID + b"\r\n", b"ID" + b"*" * 20 + b"\r\n"),
        (b"MMBP203N\r", b"MMBP203N\r"),
        (FORMAT_5[:-3] + b"7\r\n", b"*" * (len(FORMAT_5) - 2) + b"\r\n"),
        (ID, b"*" * 20),
    ],
)
def test_of_an_omron_line_only_what_is_known_to_be_harmless_stays(line: bytes, kept: bytes | None) -> None:
    assert redact(line) == (line.replace(ID, b" " * 20) if kept is None else kept)
