"""Messages (APDUs) of ISO/IEEE 11073-20601 as Roche's Accu-Chek meters speak them over USB.

`type | length | …`, most significant byte first; a presentation APDU (E7 00) carries `length | invoke id |
choice | length | …`. Nothing is checked but by its lengths. Sources: sheet serial/other_glucose_meters.md and
what it names, Tidepool's accuChekUSB.js and utils.js; AbsoluteTime, ProductionSpec and SFLOAT: the standard.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from struct import pack, unpack_from

from protocol.errors import MalformedValue
from protocol.framing import LengthFramer
from protocol.glucose import above, below, limits, mg_dl, stored
from protocol.ieee11073 import Special, sfloat
from protocol.readings import DeviceClock, Event, Identified, Notice, Reading
from protocol.times import device_time

ASSOCIATION_REQUEST, ASSOCIATION_RESPONSE, RELEASE_REQUEST, RELEASE_RESPONSE, ABORT, PRESENTATION = (
    *(0xE200, 0xE300, 0xE400, 0xE500),
    *(0xE600, 0xE700),
)
TYPES = frozenset(range(ASSOCIATION_REQUEST, PRESENTATION + 1, 0x100))
GET, ACTION, REPORT_CONFIRMED = 0x0103, 0x0107, 0x0201
"""Choices of the host."""
REPORT, GOT, ACTED = 0x0101, 0x0203, 0x0207
"""Choices of the meter: a report to be confirmed, what was asked for, what came of an action."""
CONFIG, SEGMENT_DATA = 0x0D1C, 0x0D21
SEGMENT_INFO, TRANSFER = 0x0C0D, 0x0C1C
PM_STORE = 61
MODEL, PRODUCTION, ABSOLUTE_TIME = 2344, 2349, 2439
SERIAL_NUMBER = 1
EMPTY = 3
"""What a transfer is answered with where there is nothing to tell."""
LAST = 0x4000
"""In the status of a report of data: no other follows."""
LONGEST = 2048
"""Ours: bytes of a message; the known client takes up to 1024."""
ENTRY = 12
SHOWN = limits(20, 600)


def framer() -> LengthFramer:
    """Return a framer for messages; what a bridge passes on has no other bounds."""
    return LengthFramer(b"", 4, _length, _consistent)


def _length(header: bytes) -> int | None:
    kind, length = unpack_from(">HH", header)
    return 4 + length if kind in TYPES and 2 <= length <= LONGEST - 4 else None


def _consistent(frame: bytes) -> bool:
    return frame[0] != PRESENTATION >> 8 or (
        len(frame) >= 12 and unpack_from(">H", frame, 4)[0] == len(frame) - 6
    )


def _presentation(invoke: int, choice: int, body: bytes, length: int | None = None) -> bytes:
    told = len(body) if length is None else length
    data = pack(">HHH", invoke & 0xFFFF, choice, told) + body
    return pack(">HHH", PRESENTATION, len(data) + 2, len(data)) + data


ACCEPT = (
    pack(">HHHHH", ASSOCIATION_RESPONSE, 44, 3, 20601, 38)
    + pack(">IHIII", 0x80000002, 0x8000, 0x80000000, 0, 0x80000000)
    + pack(">HII", 8, 0x12345678, 0x87654321)
    + bytes(10)
)
"""The answer to an association request: accepted, configuration unknown; named as Tidepool names itself."""
RELEASE = pack(">HHH", RELEASE_REQUEST, 2, 0)


def confirm_config(invoke: int) -> bytes:
    """Return the acceptance of the configuration (the extended one, 4000) that a report told."""
    return _presentation(invoke, REPORT_CONFIRMED, pack(">HIHHHH", 0, 0, CONFIG, 4, 0x4000, 0))


def ask_attributes(invoke: int) -> bytes:
    """Return the question for all that a meter tells of itself."""
    return _presentation(invoke, GET, bytes(6))


def ask_segments(invoke: int, store: int) -> bytes:
    """Return the question for the segments of a store; a length in it is 0, as the known client sends it."""
    return _presentation(invoke, ACTION, pack(">HHHHHH", store, SEGMENT_INFO, 6, 1, 2, 0), length=0)


def ask_transfer(invoke: int, store: int) -> bytes:
    """Return the order to tell what segment 0 of a store holds."""
    return _presentation(invoke, ACTION, pack(">HHHH", store, TRANSFER, 2, 0))


def confirm_data(frame: bytes) -> bytes:
    """Return the confirmation of a report of data; nothing is erased by it."""
    told = pack(">HIHH", store_of(frame), 0xFFFFFFFF, SEGMENT_DATA, 12) + frame[22:32] + b"\x00\x80"
    return _presentation(invoke_of(frame), REPORT_CONFIRMED, told)


def type_of(frame: bytes) -> int:
    """Return the type of a message."""
    return int.from_bytes(frame[:2])


def invoke_of(frame: bytes) -> int:
    """Return the number by which a presentation APDU is answered."""
    return int.from_bytes(frame[6:8])


def store_of(frame: bytes) -> int:
    """Return the handle that a presentation APDU is about."""
    return int.from_bytes(frame[12:14])


def says(frame: bytes, choice: int, what: int | None = None) -> bool:
    """Say whether a frame is a presentation APDU of this choice and, if given, about this event or action."""
    if type_of(frame) != PRESENTATION or int.from_bytes(frame[8:10]) != choice:
        return False
    at = 18 if choice == REPORT else 14
    return what is None or (len(frame) >= at + 4 and int.from_bytes(frame[at : at + 2]) == what)


def pm_store(frame: bytes) -> int | None:
    """Return the handle of the store of measurements that a configuration tells of; None: it has none."""
    at = 28
    for _ in range(int.from_bytes(frame[24:26])):
        if at + 8 > len(frame):
            break
        kind, handle, _count, length = unpack_from(">HHHH", frame, at)
        if kind == PM_STORE:
            return int(handle)
        at += 8 + length
    return None


def transfer_result(frame: bytes) -> int:
    """Return what an order to transfer was answered with: 0 that data follow."""
    return int.from_bytes(frame[20:22])


def is_last(frame: bytes) -> bool:
    """Say whether a report of data is the last one."""
    return bool(int.from_bytes(frame[32:34]) & LAST)


def decode_apdu(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one message says; raise MalformedValue for what is not documented."""
    if says(frame, GOT):
        yield from _about(frame)
    elif says(frame, REPORT, SEGMENT_DATA):
        yield from _entries(frame)
    elif type_of(frame) == ABORT:
        yield Notice("accu_chek_usb.plug_in_again", fault=True)
    elif not (_is_meters(frame) or says(frame, ACTED) or says(frame, REPORT, CONFIG)):
        raise MalformedValue("no message of this meter")


def _is_meters(frame: bytes) -> bool:
    return type_of(frame) in {ASSOCIATION_REQUEST, RELEASE_REQUEST, RELEASE_RESPONSE}


def _about(frame: bytes) -> Iterator[Event]:
    told = dict(_attributes(frame))
    if serial := _serial(told.get(PRODUCTION, b"")):
        model = "".join(letter for letter in told.get(MODEL, b"").decode("latin-1") if letter.isprintable())
        yield Identified(serial, {"model": model} if model else {})
    if ABSOLUTE_TIME in told:
        yield DeviceClock(_moment(told[ABSOLUTE_TIME]), frame)


def _attributes(frame: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and value of each attribute; raise MalformedValue where they do not fit."""
    at = 18
    for _ in range(int.from_bytes(frame[14:16])):
        end = at + 4 + int.from_bytes(frame[at + 2 : at + 4])
        if at + 4 > len(frame) or end > len(frame):
            raise MalformedValue("attributes that run beyond the message")
        yield int.from_bytes(frame[at : at + 2]), frame[at + 4 : end]
        at = end


def _serial(specification: bytes) -> str:
    """Return the serial number among the entries of a production specification, if it is there."""
    at = 4
    while at + 6 <= len(specification):
        kind, _component, length = unpack_from(">HHH", specification, at)
        value = specification[at + 6 : at + 6 + length]
        if kind == SERIAL_NUMBER:
            return value.decode("ascii", "replace").strip("\0 ")
        at += 6 + length
    return ""


def _entries(frame: bytes) -> Iterator[Reading]:
    """Yield each entry; one that cannot be does not take the others with it."""
    count, size = int.from_bytes(frame[28:32]), int.from_bytes(frame[34:36])
    if size != count * ENTRY or len(frame) != 36 + size:
        raise MalformedValue("a report of data whose lengths do not fit")
    refused = []
    for at in range(36, len(frame), ENTRY):
        try:
            yield _reading(frame[at : at + ENTRY])
        except MalformedValue as impossible:
            refused.append(impossible.detail)
    if refused:
        raise MalformedValue("; ".join(refused))


def _reading(entry: bytes) -> Reading:
    number, status = sfloat(entry[9:7:-1]), int.from_bytes(entry[10:])
    if number is Special.ABOVE:
        quantity = above(SHOWN)
    elif number is Special.BELOW:
        quantity = below(SHOWN)
    elif isinstance(number, Decimal) and number > 0 and number.as_tuple().exponent == 0:
        quantity = mg_dl(int(number), SHOWN)
    else:
        raise MalformedValue(f"{number} is no value in mg/dL")
    return stored(
        quantity,
        _moment(entry[:8]),
        (entry,),
        context={"status": f"{status:04x}"} if status else {},
        flags=frozenset({"questionable"} if status else ()),
    )


def _moment(time: bytes) -> datetime:
    """Return an AbsoluteTime, two decimal digits in a byte; the last one holds fractions of a second."""
    digits = time.hex()
    if len(time) != 8 or not digits.isdecimal():
        raise MalformedValue(f"no time: {digits}")
    return device_time(int(digits[:4]), *(int(digits[at : at + 2]) for at in range(4, 14, 2)))
