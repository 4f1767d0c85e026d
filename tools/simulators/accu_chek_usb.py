"""An Accu-Chek behind a bridge: it asks to be associated, tells who it is and its memory in reports.

From the sheet other_glucose_meters and ISO/IEEE 11073-20601. It asks once, when the host comes (the cable is
plugged in then), as a meter does that gives up if nobody answers. With `order=oldest` the oldest result is
told first. What no host may do (clearing the memory, setting the clock) is reported.
"""

from datetime import datetime
from struct import pack, unpack_from

from tools.glucose import Memory, Result, person
from tools.simulators import Attached, Await, Cue, Device, Heard, Say, Setup, Simulator, Violation, attempt

STORE, SERIAL, MODEL = 0x0100, b"SIM0000001", b"9250"
IN_A_REPORT = 20
SYSTEM = bytes.fromhex("0060190000000001")
HIGH, LOW = 0x07FE, 0x0802
READS = {0x0C0D, 0x0C1C}


def apdu(kind: int, body: bytes) -> bytes:
    """Return a message."""
    return pack(">HH", kind, len(body)) + body


def data(invoke: int, choice: int, body: bytes) -> bytes:
    """Return a presentation APDU."""
    inner = pack(">HHH", invoke & 0xFFFF, choice, len(body)) + body
    return apdu(0xE700, pack(">H", len(inner)) + inner)


def device(setup: Setup) -> Device:
    """Answer the host; a person may measure in between."""
    meter = _Meter(setup)
    while True:
        cue = yield Await()
        yield from attempt(meter.take(cue))


class _Meter:
    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._memory = Memory(20, 600, 720)
        self._held = b""
        self._invoke = 1
        self._associated = False
        self._pages: list[bytes] = []

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Attached():
                self._held, self._associated, self._pages = b"", False, []
                yield Say(_association())
            case Heard(said):
                self._held = (self._held + said)[-4096:]
                while len(self._held) >= 4 and len(self._held) >= (size := 4 + self._length()):
                    message, self._held = self._held[:size], self._held[size:]
                    yield from self._heed(message)
            case _:
                yield from self._memory.take(cue, self._setup.clock())

    def _length(self) -> int:
        return int.from_bytes(self._held[2:4])

    def _heed(self, message: bytes) -> Device:
        kind = int.from_bytes(message[:2])
        if kind == 0xE300 and len(message) == 48:
            self._associated = True
            yield Say(self._event(0x0D1C, 0, _config()))
        elif kind == 0xE400 and self._associated:
            self._associated = False
            yield Say(apdu(0xE500, b"\0\0"))
        elif kind == 0xE700 and self._associated and len(message) >= 14:
            yield from self._answer(message)

    def _answer(self, message: bytes) -> Device:
        invoke, choice, _, handle = unpack_from(">HHHH", message, 6)
        action = int.from_bytes(message[14:16])
        if choice == 0x0103:
            yield Say(data(invoke, 0x0203, self._about()))
        elif choice == 0x0201 and message[18:20] == b"\x0d\x21":
            yield from self._next_page()
        elif choice == 0x0107 and (action not in READS or handle != STORE):
            yield Violation(f"action {action:04x} on {handle:04x}")
        elif choice == 0x0107 and action == 0x0C0D:
            yield Say(data(invoke, 0x0207, pack(">HHHHH", STORE, action, 4, 0, 0)))
        elif choice == 0x0107:
            self._pages = self._reports()
            result = 0 if self._pages else 3
            yield Say(data(invoke, 0x0207, pack(">HHHHH", STORE, action, 4, 0, result)))
            yield from self._next_page()

    def _next_page(self) -> Device:
        if self._pages:
            yield Say(self._event(0x0D21, STORE, self._pages.pop(0)), result=not self._pages)

    def _event(self, kind: int, handle: int, body: bytes) -> bytes:
        self._invoke += 1
        return data(self._invoke, 0x0101, pack(">HIHH", handle, 0xFFFFFFFF, kind, len(body)) + body)

    def _about(self) -> bytes:
        text = pack(">H", 5) + b"Roche\0"[:5] + pack(">H", len(MODEL)) + MODEL
        product = pack(">HHH", 1, 0, len(SERIAL)) + SERIAL
        attributes = (
            (2344, text),
            (2349, pack(">HH", 1, len(product)) + product),
            (2439, _time(self._setup.clock())),
        )
        told = b"".join(pack(">HH", number, len(value)) + value for number, value in attributes)
        return pack(">HHH", 0, len(attributes), len(told)) + told

    def _reports(self) -> list[bytes]:
        results = self._memory.results
        if self._setup.options["order"] == "oldest":
            results = results[::-1]
        cuts = range(0, len(results), IN_A_REPORT)
        return [self._report(at, results[at : at + IN_A_REPORT], len(results)) for at in cuts]

    def _report(self, at: int, results: list[Result], count: int) -> bytes:
        entries = b"".join(map(self._entry, results))
        first, last = at == 0, at + len(results) >= count
        status = first << 15 | last << 14
        return pack(">HIIHH", 0, at, len(results), status, len(entries)) + entries

    def _entry(self, result: Result) -> bytes:
        value = result.value
        if not self._memory.low <= value <= self._memory.high:
            value = HIGH if value > self._memory.high else LOW
        return _time(result.at) + pack(">HH", value, 0)


def _association() -> bytes:
    """Return the meter's request: 20601, its configuration 4000."""
    protocol = pack(">IHIIIH", 0x80000000, 0xA000, 0x80000000, 0, 0x00800000, 8) + SYSTEM
    protocol += pack(">HHBBHH", 0x4000, 1, 1, 0, 0, 0)
    listed = pack(">HH", 20601, len(protocol)) + protocol
    return apdu(0xE200, pack(">IHH", 0x80000000, 1, len(listed)) + listed)


def _config() -> bytes:
    """Return the configuration: one numeric object and the store."""
    objects = ((6, 1, b"\x09\x2f\x00\x04\x00\x02\x71\x2f"), (61, STORE, b"\x09\x51\x00\x02\x00\x01"))
    told = b"".join(pack(">HHHH", kind, handle, 1, len(value)) + value for kind, handle, value in objects)
    return pack(">HHH", 0x4000, len(objects), len(told)) + told


def _time(at: datetime) -> bytes:
    return bytes.fromhex(f"{at:%Y%m%d%H%M%S}00")


SIMULATOR = Simulator(device, person, {"order": ("newest", "oldest")})
