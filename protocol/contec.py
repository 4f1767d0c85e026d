"""Messages of the Contec 08A family of arm monitors: the same in 64-byte USB reports and as a stream.

Control messages begin with a byte below 80 and have a fixed length; the bytes of a stored record all have
bit 7 set, their true bit 7 travels in a mask byte before each group. Reports are filled up with zeros. There
is no check code. Source: protocols sheet serial/contec08a.md.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal

from protocol.errors import MalformedValue
from protocol.framing import Frame, Held, Noise
from protocol.quantities import Quantity
from protocol.readings import Event, Kind, Measure, Notice, Reading
from protocol.times import device_time

KIND, GREETING, CONFIRMED = 0x41, 0x48, 0x4A
PRESSURES, OXIMETRIES = 0x46, 0x47
LENGTHS = {KIND: 5, GREETING: 5, CONFIRMED: 4, PRESSURES: 14, OXIMETRIES: 16}
"""Control messages by their first byte; the last two announce records, which follow one by one."""
PRESSURE, OXIMETRY = 14, 11
"""Lengths of one stored record."""
PACKED = 0x80

WHO, HELLO = bytes.fromhex("40 8f ff fe fd fc"), bytes.fromhex("42 8f ff fe fd fc")
READ: Mapping[tuple[str, str], bytes] = {
    ("hid", "1"): bytes.fromhex("43 41 01 04 02 00"),
    ("hid", "2"): bytes.fromhex("43 41 01 05 02 00"),
    ("hid", "3"): bytes.fromhex("43 41 01 06 02 00"),
    ("hid", "all"): bytes.fromhex("43 41 01 07 02 00"),
    ("stream", "all"): bytes.fromhex("43 42 01 07 05 00"),
}
"""The documented questions for blood pressures, by link and user."""
CLOCK_FOLLOWS = bytes.fromhex("43 42 02 ff 04 00")
TAKEN = bytes.fromhex("4a 46 01 00")
HIGHEST = 511
"""Ours: mmHg; more than that are bytes out of step, there being no check code, and no pressure."""


class Framer(Held):
    """Cuts control messages and records out of a stream or out of reports filled up with zeros.

    A record is a run of bytes with bit 7 set, of the length that the last announcement told (a blood
    pressure, if none did); a run that ends too early is noise and nothing of it is a record.
    """

    def __init__(self) -> None:
        super().__init__()
        self._record = PRESSURE

    def feed(self, chunk: bytes) -> Iterator[Frame | Noise]:
        """Yield each whole message in what has arrived, and what lies between."""
        self._held += chunk
        while (piece := self._next()) is not None:
            yield piece

    def finish(self) -> Iterator[Frame | Noise]:
        """Yield what is held as noise: every message says or implies its length."""
        if self._held:
            yield Noise(self._take(len(self._held)), "incomplete")

    def _next(self) -> Frame | Noise | None:
        held = self._held
        if not held:
            return None
        if held[0] in LENGTHS:
            return self._control(LENGTHS[held[0]])
        run = _run(held, self._record)
        if not held[0] & PACKED:
            between = self._take(run)
            return Noise(between, "no frame start" if any(between) else "")
        if run >= self._record:
            return Frame(self._take(self._record))
        return Noise(self._take(run), "record cut short") if run < len(held) else None

    def _control(self, size: int) -> Frame | Noise | None:
        held = self._held
        announces = held[0] in {PRESSURES, OXIMETRIES}
        if announces and not all(byte & PACKED for byte in held[2:5]):
            return Noise(self._take(1), "impossible header")
        if len(held) < size:
            return None
        self._record = OXIMETRY if held[0] == OXIMETRIES else PRESSURE
        return Frame(self._take(size))


def _run(held: bytearray, record: int) -> int:
    """Return how many bytes from the first on are of its kind: of a record, or between messages."""
    packed = held[0] & PACKED
    looked = min(len(held), record) if packed else len(held)
    for at in range(looked):
        if held[at] & PACKED != packed or held[at] in LENGTHS:
            return at
    return looked


def set_clock(moment: datetime) -> bytes:
    """Return the command that sets the clock; ValueError for a year that seven bits cannot tell."""
    if not 2000 <= moment.year <= 2127:
        raise ValueError(f"no such year: {moment.year}")
    fields = (moment.year - 2000, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    return bytes([0x4C, 0x42, PACKED, *(field | PACKED for field in fields), 0])


def refused(frame: bytes) -> bool:
    """Say whether a confirmation means no: the order was refused or the monitor is switched off."""
    return frame[2] != 1


def announced(header: bytes) -> int:
    """Return how many records follow this announcement."""
    width = 2 if header[0] == PRESSURES else 3
    return int.from_bytes(_unpacked(header[2 : 3 + width]), "big")


def decode_message(frame: bytes, header: bytes) -> Iterator[Reading | Event]:
    """Yield what one message says; a record belongs to the user of the announcement *header* (b"": none)."""
    told = {"bytes": frame.hex(" ")}
    if frame[0] == CONFIRMED and refused(frame):
        yield Notice("contec08a.refused", told, fault=True)
    elif frame[0] == CONFIRMED:
        yield Notice("contec08a.confirmed", told)
    elif frame[0] in {KIND, GREETING}:
        yield Notice("contec08a.connected", told)
    elif frame[0] in {PRESSURES, OXIMETRIES}:
        yield Notice("contec08a.memory", {"records": str(announced(frame)), **_user(frame)})
    else:
        yield (_pressure if len(frame) == PRESSURE else _oximetry)(frame, header)


def _user(header: bytes) -> dict[str, str]:
    """Return the user number of an announcement, where it is one of the three."""
    user = header[-1] & 3
    return {"user": str(user)} if user else {}


def _unpacked(group: bytes) -> bytes:
    """Return the true bytes of a group of up to seven behind its mask, whose lowest bit is the first's."""
    return bytes(byte & 0x7F | (group[0] >> at & 1) << 7 for at, byte in enumerate(group[1:]))


def _tail(group: bytes) -> bytes:
    """Return the true bytes of a record's short second group.

    Sources do not settle which mask bits belong to which of its bytes, so none may be set but the one that
    can only be the last byte's; a possible date and time sets none.
    """
    if group[0] & 0x3F:
        raise MalformedValue("a day or time beyond 127")
    return bytes(byte & 0x7F for byte in group[1:])


def _pressure(frame: bytes, header: bytes) -> Reading:
    high, low, diastolic, pulse, mean, year, month = _unpacked(frame[:8])
    moment = device_time(2000 + year, month, *_tail(frame[8:])[:4])
    systolic = high << 8 | low
    if systolic > HIGHEST or not all((systolic, diastolic, pulse, mean)):
        raise MalformedValue(f"not a blood pressure: {systolic}/{diastolic}, mean {mean}, pulse {pulse}")
    values = {
        Measure.SYSTOLIC: Quantity(Decimal(systolic), "mm[Hg]"),
        Measure.DIASTOLIC: Quantity(Decimal(diastolic), "mm[Hg]"),
        Measure.MEAN_PRESSURE: Quantity(Decimal(mean), "mm[Hg]"),
        Measure.PULSE_RATE: Quantity(Decimal(pulse), "/min"),
    }
    return _stored(Kind.BLOOD_PRESSURE, values, moment, header=header, frame=frame)


def _oximetry(frame: bytes, header: bytes) -> Reading:
    saturation, pulse, year, month, day, hour, minute = _unpacked(frame[:8])
    moment = device_time(2000 + year, month, day, hour, minute, _tail(frame[8:])[0])
    if not (0 < saturation <= 100 and pulse):
        raise MalformedValue(f"not an oximetry: SpO2 {saturation}, pulse {pulse}")
    values = {
        Measure.SPO2: Quantity(Decimal(saturation), "%"),
        Measure.PULSE_RATE: Quantity(Decimal(pulse), "/min"),
    }
    return _stored(Kind.OXIMETRY, values, moment, header=header, frame=frame)


def _stored(
    kind: Kind, values: Mapping[Measure, Quantity], moment: datetime, *, header: bytes, frame: bytes
) -> Reading:
    """Return a record under its time and values: its place in the memory shifts, its user may be unknown."""
    numbers = " ".join(str(quantity.value) for quantity in values.values())
    return Reading(
        kind,
        values,
        (header, frame) if header else (frame,),
        device_time=moment,
        context=_user(header) if header else {},
        stored=True,
        record=f"{kind} {moment.isoformat()} {numbers}",
    )
