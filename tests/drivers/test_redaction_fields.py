"""Frames with a name or number in them, whole and damaged: blanked, they name nobody and say the same."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.catalogue import Driver, every
from protocol.framing import Frame
from protocol.microlife import in_report
from protocol.readings import Reading
from protocol.transcript import Heard
from tests.drivers.test_redaction import nameless
from tests.play import TRANSCRIPTS, driver_of, read, settings_of

MINE = ("astm", "tanita", "dba310", "microlife_hid")


def astm(text: str, number: int = 1) -> bytes:
    body = f"{number}{text}".encode() + b"\x03"
    return b"\x02" + body + f"{sum(body) & 0xFF:02X}".encode() + b"\r"


def tanita(fields: str) -> bytes:
    line = "{0,16,~0,1,~1,1,~2,1," + fields + ",CS,"
    return f"{line}{sum(line.encode()) & 0xFF:02X}".encode() + b"\r"


def microlife(owner: bytes, unknown: str = "000000") -> bytes:
    text = "00010000" + owner.hex().upper().ljust(24, "0") + "2603010830" + unknown + "04815078"
    message = b"\x06" + text.encode() + f"{sum(text.encode()) & 0xFF:02X}".encode()
    return b"".join(in_report(message[at : at + 7]) for at in range(0, len(message), 7))


SCALE = (
    'MO,"MC-780",ID,"{id}",St,0,Da,"01/03/2026",TI,"08:30",Bt,0,GE,1,AG,61,Hm,170.0,Wk,62.30,MI,21.5,FW,18.0'
)
RESULT = "R|1|^^^Glucose|5.6|mmol/L||N||F||WANG||20260301083000|XP-100\r"
PLANTED = [
    ("astm", astm("P|1|4304|WANG||WANG^XIAOMING||18991231|M\r"), b"WANG"),
    ("astm", astm("P|1|4304|WANG||WANG^XIAOMING||18991231|M\r"), b"1899"),
    ("astm", astm("H|\\^&|||XP-100^1.0|WANG|||||||P||20260301083000\rP|1||WANG\r" + RESULT), b"WANG"),
    ("astm", astm("H;*+;;;XP;;;;;;;;P\rP;1;;WANG+XIAOMING\r"), b"WANG"),
    ("astm", astm("P;1;;WANG\r"), b"WANG"),
    ("astm", astm("O|1|WANG||^^^Glucose\rC|1|I|WANG\rX|1|WANG\r"), b"WANG"),
    ("astm", astm("ANG|1899\r"), b"ANG"),
    ("astm", astm("P|1|王^小明\r"), "王".encode()),
    ("astm", astm(RESULT)[:-2] + b"!\r", b"WANG"),
    ("astm", astm(RESULT)[:-5], b"WANG"),
    ("tanita", tanita(SCALE.format(id="430421189912311")), b"430421189912311"),
    ("tanita", tanita(SCALE.format(id="0" * 16) + ',NM,"WANG"'), b"WANG"),
    ("tanita", b"WANG XIAOMING,1899,1\r", b"WANG"),
    ("tanita", b"43042,11899,12311\r", b"43042"),
    ("dba310", b"id=430421189912311;\n", b"430421189912311"),
    ("dba310", b"*id = A12;\n", b"A12"),
    ("dba310", b"name=WANG;\n", b"WANG"),
    ("dba310", b"wei=WANG;\n", b"WANG"),
    ("dba310", b"hello WANG\n", b"WANG"),
    ("dba310", b"NAME WANG = 5;\n", b"WANG"),
    ("microlife_hid", microlife(b"WANG1899"), b"57414E47"),
    ("microlife_hid", microlife(b"", "ABCDEF"), b"ABCDEF"),
    ("microlife_hid", b"\xf7WA\x78\x50\x48GX", b"WA"),
]
"""Driver, frame, and what must not be left of it."""


def frames(driver: Driver) -> Iterator[tuple[Driver, bytes]]:
    for path in TRANSCRIPTS:
        if driver_of(path) is driver:
            shaped = driver.under(settings_of(driver, read(path)))
            framer = shaped.framer()
            said = b"".join(turn.data for turn in read(path).turns if isinstance(turn, Heard))
            for piece in [*framer.feed(said), *framer.finish()]:
                if isinstance(piece, Frame):
                    yield shaped, piece.data


FRAMES = {name: list(frames(every()[name])) for name in MINE}


def left(driver: Driver, frame: bytes) -> bytes:
    """Return *frame* blanked, after all that must be true of it was found true."""
    assert driver.redact is not None
    blank = driver.redact(frame)
    assert len(blank) == len(frame)
    assert driver.redact(blank) == blank
    framer = driver.framer()
    assert [*framer.feed(blank), *framer.finish()] == [Frame(blank)]
    before, after = list(driver.decode([Frame(frame)])), list(driver.decode([Frame(blank)]))
    assert list(map(nameless, after)) == list(map(nameless, before))
    assert not any("patient_id" in item.context for item in after if isinstance(item, Reading))
    return blank


def carried(name: str, frame: bytes) -> bytes:
    """Return what *frame* says, without the first byte of each report."""
    if name != "microlife_hid":
        return frame
    return b"".join(frame[at + 1 : at + 8] for at in range(0, len(frame), 8))


@pytest.mark.parametrize(("name", "frame", "secret"), PLANTED, ids=lambda value: str(value)[:24])
def test_nothing_is_left_of_what_names_somebody(name: str, frame: bytes, secret: bytes) -> None:
    driver = every()[name]
    framer = driver.framer()
    assert Frame(frame) in [*framer.feed(frame), *framer.finish()]
    assert secret in carried(name, frame)
    assert secret not in carried(name, left(driver, frame))


def test_a_line_that_begins_like_another_models_still_does() -> None:
    driver = every()["tanita"].under({"model": "bc418"})
    for line in (b"{0\r", b"{\r", b"\xfb\xb0\r"):
        assert left(driver, line) == line


@pytest.mark.parametrize("name", MINE)
@settings(max_examples=300)
@given(data=st.data())
def test_a_damaged_frame_is_blanked_as_well(name: str, data: st.DataObject) -> None:
    driver, frame = data.draw(st.sampled_from(FRAMES[name]))
    damaged = bytearray(frame)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(frame) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    framer = driver.framer()
    for piece in [*framer.feed(bytes(damaged)), *framer.finish()]:
        if isinstance(piece, Frame):
            left(driver, piece.data)
