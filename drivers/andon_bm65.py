"""Andon blood-pressure monitors with a memory, sold as Beurer BM65; known from one reader.

Cable: USB serial, 4800 8N1. Messages have neither mark nor length nor check: an answer is what the monitor
says until it falls silent, and it must have exactly the length the question asks for. The pressures are sent
less 25. Nothing says which records are new, nor which end of the memory is the newer one, so all are read
again only when the number of records or the first or the last of them is another one.
"""

from collections.abc import Generator, Iterable, Iterator
from decimal import Decimal

from drivers.catalogue import Decoded, Driver, Refusal, Serial
from drivers.dialogue import Answer, Dialogue, Known, Listen, Observe, Send, Settings, Step
from drivers.push import pass_on
from protocol.errors import MalformedValue, NoAnswer
from protocol.framing import Frame, Held, Noise
from protocol.quantities import Quantity
from protocol.readings import Event, Kind, Measure, Notice, Reading
from protocol.times import device_time

WAKE, COUNT, RECORD, DESCRIPTION = b"\xaa", b"\xa2", b"\xa3", b"\xa4"
AWAKE = b"\x55"
DESCRIPTION_SIZE, RECORD_SIZE = 32, 9
OFFSET = 25
LONGEST = 64
"""Ours: no answer is longer than 32 bytes."""
ANSWER, SILENCE = 3.0, 0.25
"""Ours: seconds the monitor has to answer, and without a byte at an answer's end."""
LOOK_AGAIN = 60.0
"""Ours: seconds until a monitor that stays connected is asked again."""


class ByteFramer(Held):
    """Every byte is a frame of its own: only who asked knows how many belong together."""

    def feed(self, chunk: bytes) -> Iterator[Frame | Noise]:
        """Yield each byte."""
        for byte in chunk:
            yield Frame(bytes([byte]))

    def finish(self) -> Iterator[Frame | Noise]:
        """Yield nothing: nothing is held."""
        yield from ()


def decode_message(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one message says, known by its length alone; raises MalformedValue."""
    if len(frame) == RECORD_SIZE:
        yield _record(frame)
    elif len(frame) == DESCRIPTION_SIZE:
        text = frame.decode("ascii", "replace").strip("\0 ")
        yield Notice("andon_bm65.description", {"text": text if text.isprintable() else frame.hex(" ")})
    elif len(frame) == 1:
        yield Notice("andon_bm65.answered", {"byte": frame.hex()})
    else:
        raise MalformedValue(f"{len(frame)} bytes are no answer")


def _record(frame: bytes) -> Reading:
    header, systolic, diastolic, pulse, month, day, hour, minute, year = frame
    moment = device_time(2000 + year, month, day, hour, minute)
    if not (systolic and diastolic and pulse):
        raise MalformedValue("zero is not a value")
    systolic, diastolic = systolic + OFFSET, diastolic + OFFSET
    values = {
        Measure.SYSTOLIC: Quantity(Decimal(systolic), "mm[Hg]"),
        Measure.DIASTOLIC: Quantity(Decimal(diastolic), "mm[Hg]"),
        Measure.PULSE_RATE: Quantity(Decimal(pulse), "/min"),
    }
    return Reading(
        Kind.BLOOD_PRESSURE,
        values,
        (frame,),
        device_time=moment,
        context={"header": f"{header:02x}"},
        stored=True,
        record=f"{moment.isoformat()} {systolic}/{diastolic} {pulse}",
    )


def decode(frames: Iterable[Frame]) -> Iterator[Decoded]:
    """Yield what all *frames* together say, the bytes of one answer; the last stands for a refused one."""
    message, last = b"", b""
    for frame in frames:
        last = frame.data
        message = (message + last)[: LONGEST + 1]
    try:
        if message:
            yield from decode_message(message)
    except MalformedValue as refused:
        yield Refusal(last, refused.code, refused.detail)


Ends = tuple[int, bytes | None, bytes | None]
"""Number of records, the first and the last of them."""


def talk(_settings: Settings) -> Dialogue:
    """Wake the monitor, read its memory, and look again after a while or when a person asks."""
    seen: Ends | None = None
    while True:
        if not (yield from _answer(WAKE)).endswith(AWAKE):
            raise NoAnswer("not awake")
        if seen is None and len(told := (yield from _answer(DESCRIPTION))) == DESCRIPTION_SIZE:
            yield from pass_on(decode([Frame(told)]))
        seen = yield from _read_new(seen)
        while isinstance((yield Listen(timeout=LOOK_AGAIN, orders=True)), Frame):
            pass


def _answer(question: bytes) -> Generator[Step, Answer, bytes]:
    """Return all that the monitor says until it falls silent; nothing where it says more than it can mean."""
    yield Send(question)
    said = b""
    answer = yield Listen(within=ANSWER)
    while isinstance(answer, Frame) and len(said) < LONGEST:
        said += answer.data
        answer = yield Listen(timeout=SILENCE, within=ANSWER)
    return said if answer is None else b""


def _record_at(index: int) -> Generator[Step, Answer, bytes | None]:
    said = yield from _answer(RECORD + bytes([index]))
    return said if len(said) == RECORD_SIZE else None


def _read_new(seen: Ends | None) -> Generator[Step, Answer, Ends | None]:
    """Tell the records that are new; returns the memory's ends, None where not all of it could be read."""
    number = yield from _answer(COUNT)
    if len(number) != 1:
        raise NoAnswer("no number of records")
    count = number[0]
    if not count:
        return None
    ends = (count, (yield from _record_at(1)), (yield from _record_at(count)))
    if ends == seen:
        return seen
    for index in range(1, count + 1):
        record = yield from _record_at(index)
        if record is None:
            yield Observe(Notice("andon_bm65.records_incomplete", fault=True))
            return None
        yield from _tell_new(Frame(record))
    return ends


def _tell_new(record: Frame) -> Generator[Step, Answer, None]:
    for item in decode([record]):
        known = isinstance(item, Reading) and item.record is not None and (yield Known(item.record))
        if not known:
            yield from pass_on([item])


DRIVER = Driver(
    name="andon_bm65",
    title="Andon / Beurer BM65 blood-pressure monitor",
    models=("Beurer BM65", "Andon"),
    kinds=(Kind.BLOOD_PRESSURE,),
    link=Serial(baudrate=4800),
    framer=ByteFramer,
    decode=decode,
    talk=talk,
    grade="C",
    provenance="constructed",
    sources="serial/andon_beurer_serial.md: one Python reader, which counts the records from 1",
    not_known=(
        "a captured record (those here are constructed)",
        "what the header byte of a record and the description say",
        "which end of the memory is the newest",
        "whether and how the clock can be read (stored times stay unproven)",
    ),
    orders=("read_records",),
)
