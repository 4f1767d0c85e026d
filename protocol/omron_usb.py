"""Messages of Omron home blood-pressure monitors with a USB socket, carried in counted 8-byte reports.

A command is three letters, argument bytes and their XOR; an answer is `OK`, bytes and their XOR, or `NO`
(ask again), or `OFF` at the end. Sources: protocols sheet serial/omron_hem790it.md and what it names,
openyou/libomron (`doc/omron_protocol_notes.asciidoc`, `src/omron.c`, the captures in `doc/logs/hem790it`).
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from protocol.checks import xor8
from protocol.errors import MalformedValue
from protocol.quantities import Quantity
from protocol.readings import Event, Identified, Kind, Measure, Notice, Reading
from protocol.reports import CountedFramer, Rules
from protocol.times import device_time

REPORT = 8
OK, REFUSED, OFF = b"OK", b"NO", b"OFF\r\n"
DEVICE_INFO, SINGLE_READINGS = b"\x01\x01", b"\x74\xbc"
"""Feature reports that open a session, as the notes state them; the captured host sends others as well."""
COUNT, SERIAL, WEEK, PROFILE, VERSION, RECORD = 8, 11, 12, 14, 15, 17
"""Whole answers by their length, `OK` and the XOR included."""
HEADER = 3
"""`OK` and a zero; sources also print an answer's bytes without them."""
BARE = {length - HEADER for length in (COUNT, WEEK, PROFILE, VERSION, RECORD)}
ASKED = frozenset({b"VER", b"PRF", b"SRL", b"GDC", b"GME", b"GMA", b"GEA", b"END"})
FIRST_YEAR = 2007
"""A clock that was never set begins in this year."""
WEEKLY_MINUS = 25
"""What a weekly average's systolic byte lacks."""
UNITS: Mapping[Measure, str] = {
    Measure.SYSTOLIC: "mm[Hg]",
    Measure.DIASTOLIC: "mm[Hg]",
    Measure.PULSE_RATE: "/min",
}


def command(letters: bytes, arguments: bytes) -> bytes:
    """Return a command; raises ValueError for any that is no documented question: there are others."""
    if letters not in ASKED:
        raise ValueError(f"never sent: {letters!r}")
    return letters + arguments + bytes([xor8(arguments)])


CLEAR = bytes(12)
"""Zeros that make the monitor ready for a command; the captured host sends 30 of them."""
ASK_VERSION, ASK_SERIAL, GO_OFF = command(b"VER", b"0"), command(b"SRL", b"0"), command(b"END", b"\xff")


def ask_count(bank: int) -> bytes:
    """Return the question for the number of readings in *bank*."""
    return command(b"GDC", bytes([0, bank, 0, 0]))


def ask_reading(bank: int, index: int) -> bytes:
    """Return the question for a reading of *bank*; *index* 0 is the newest."""
    return command(b"GME", bytes([0, bank, 0, index]))


def in_reports(message: bytes) -> bytes:
    """Return *message* cut into whole reports, one behind the other."""
    pieces = (message[at : at + REPORT - 1] for at in range(0, len(message), REPORT - 1))
    return b"".join(bytes([len(piece)]) + piece.ljust(REPORT - 1, b"\0") for piece in pieces)


def framer() -> CountedFramer:
    """Return a framer for what a monitor says; messages printed without their counts are taken too."""
    return CountedFramer(RULES)


def _count(first: int) -> int | None:
    return first if first < REPORT else None


def _starts(report: bytes, _first: bool) -> bool:
    return _count(report[0]) is not None and report[1 : 1 + report[0]].startswith((OK, REFUSED, OFF))


def _whole(message: bytes, ended: bool) -> bool | None:
    if message in (OK, REFUSED) or message.startswith(OFF):
        return True
    if message.startswith(REFUSED):
        return False
    return _checked(message) if ended else None


def _checked(message: bytes) -> bool:
    return message.startswith(OK) and len(message) > HEADER + 1 and xor8(message[len(OK) :]) == 0


def _bare(data: bytes) -> bool:
    return _whole(data, True) is True or (len(data) in BARE and any(data) and xor8(data) == 0)


RULES = Rules(REPORT, _count, _starts, _whole, _bare, longest_bare=RECORD + REPORT, most=8)


def message(frame: bytes) -> bytes:
    """Return the message of a frame, with the header that a source may have left out."""
    found = RULES.message(frame)
    return found if found.startswith((OK, REFUSED, OFF)) else OK + b"\0" + found


def decode_message(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one message says; raise MalformedValue for what is not documented."""
    said = message(frame)
    body = said[HEADER:-1]
    if said == OK:
        return
    if said == REFUSED or said.startswith(OFF):
        yield Notice("omron_hem790it.answered", {"answer": said.decode("ascii").strip()})
    elif len(said) == RECORD:
        yield _reading(body, frame)
    elif len(said) == WEEK:
        yield _week(body, frame)
    elif len(said) == SERIAL:
        yield _identity(body)
    elif len(said) == COUNT:
        yield Notice("omron_hem790it.answered", {"readings": str(readings(frame))})
    elif len(said) in {VERSION, PROFILE} and body.isascii() and body.decode("ascii").isprintable():
        name = "version" if len(said) == VERSION else "profile"
        yield Notice("omron_hem790it.answered", {name: body.decode("ascii").strip()})
    else:
        raise MalformedValue(f"an answer of {len(said)} bytes that is not documented")


def readings(frame: bytes) -> int:
    """Return how many readings a bank holds, from the answer that counts them."""
    return message(frame)[6]


def _identity(body: bytes) -> Event:
    """Return the serial number; the captured monitors tell one byte and zeros, which names none of them."""
    if any(body[1:]):
        return Identified(body.hex())
    return Notice("omron_hem790it.answered", {"serial": body.hex()})


def _reading(body: bytes, frame: bytes) -> Reading:
    moment = device_time(2000 + body[0], *body[1:6])
    values = _values(body[8], body[9], body[10])
    status = body[12]
    context = {"reading_of_three": str(status >> 4)} if 1 <= status >> 4 <= 3 else {}
    if status >> 4 > 3:
        context["status"] = f"{status:02x}"
    numbers = "/".join(str(quantity.value) for quantity in values.values())
    return Reading(
        Kind.BLOOD_PRESSURE,
        values,
        (frame,),
        device_time=moment,
        context=context,
        flags=frozenset({"clock_lost"} if moment.year == FIRST_YEAR else ()),
        stored=True,
        record=f"blood_pressure {moment.isoformat()} {numbers}",
    )


def _week(body: bytes, frame: bytes) -> Reading | Event:
    if not (body[5] and body[6] and body[7]):
        return Notice("omron_hem790it.answered", {"week": "empty"})
    week = device_time(2000 + body[2], body[3], body[4], 0, 0).date().isoformat()
    context = {"average": "weekly", "week": week}
    values = _values(body[5] + WEEKLY_MINUS, body[6], body[7])
    return Reading(Kind.BLOOD_PRESSURE, values, (frame,), context=context, stored=True)


def _values(*numbers: int) -> dict[Measure, Quantity]:
    if not all(numbers):
        raise MalformedValue("zero is not a value")
    return {
        measure: Quantity(Decimal(number), unit)
        for (measure, unit), number in zip(UNITS.items(), numbers, strict=True)
    }
