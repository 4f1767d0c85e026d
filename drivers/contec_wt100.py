"""Contec WT100 weighing scale: its memory over Bluetooth SPP (a serial port, line settings do not matter).

`93 8E | LEN | device (2) | command | content | SUM`, as Sinocare's glucose meters speak. One decompiled app
is all that is known, and no scale was heard. It sets the clock and erases the memory at every contact; here
the memory is only read, at each contact and every minute after. The clock is told only in answer to its
setting, so nobody knows here how wrong it is. Newer scales are asked first, for records with seconds.
"""

from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from decimal import Decimal

from drivers.catalogue import Decoded, Driver, Refusal, Serial
from drivers.dialogue import Answer, Dialogue, Known, Listen, Observe, Order, Send, Settings, Step
from drivers.push import pass_on
from protocol.checks import sum8
from protocol.errors import MalformedValue, NoAnswer
from protocol.framing import Frame, LengthFramer
from protocol.quantities import Quantity
from protocol.readings import Event, Kind, Measure, Notice, Reading
from protocol.times import device_time

START = b"\x93\x8e"
SCALE = b"\x00\x05"
SHORTEST = 4
SET_CLOCK = 0x05
RECORDS = frozenset({0x08, 0x0B})
SIZES = (8, 9)
"""Bytes of a record without and with seconds; the packet's length tells which it holds."""
QUESTIONS = bytes.fromhex("93 8e 04 00 05 0b 14"), bytes.fromhex("93 8e 04 00 05 08 11")
"""All that is ever sent: both read, the first with seconds."""
ANSWER = 3.0
"""Ours: seconds for an answer, and for each further packet."""
LOOK_AGAIN = 60.0
"""Ours: seconds until the memory is read again."""
MOST_FRAMES = 512
"""Ours: more than a memory's 255 packets and what is said in between; the end of a download in any case."""
MOST_WEIGHINGS = 255 * 31
"""More than 255 packets of at most 255 bytes can hold."""

Told = Generator[Step, Answer, bool]


def framer() -> LengthFramer:
    """Return a framer for the scale's stream."""
    return LengthFramer(START, 3, _length, _checked)


def _length(header: bytes) -> int | None:
    return header[2] + 3 if header[2] >= SHORTEST else None


def _checked(frame: bytes) -> bool:
    return sum8(frame[2:-1]) == frame[-1]


def decode(frames: Iterable[Frame]) -> Iterator[Decoded]:
    """Say what each frame means; equal weighings of one moment are told apart by counting from packet 1."""
    equal: Counter[str] = Counter()
    for frame in frames:
        try:
            yield from decode_frame(frame.data, equal)
        except MalformedValue as refused:
            yield Refusal(frame.data, refused.code, refused.detail)


def decode_frame(frame: bytes, equal: Counter[str]) -> Iterator[Reading | Event]:
    """Yield what one frame says, counting in *equal* how often a record was told in this memory.

    Raises MalformedValue for what the source does not describe.
    """
    number, content = frame[5], frame[6:-1]
    if frame[3:5] != SCALE:
        raise MalformedValue(f"device {frame[3:5].hex()} is no scale")
    if number in RECORDS and content:
        yield from _records(content, frame, equal)
    elif number == SET_CLOCK and content:
        yield Notice("contec_wt100.answered", {"bytes": content.hex(" ")})
    else:
        raise MalformedValue(f"command {number:02x} with {len(content)} bytes is not documented")


def _records(content: bytes, frame: bytes, equal: Counter[str]) -> Iterator[Reading | Event]:
    """Yield the records of one packet; one that cannot be does not take the others with it."""
    if content[0] == 0:
        yield Notice("contec_wt100.memory_empty")
        return
    size = next((size for size in SIZES if content[2:3] and len(content) == 3 + size * content[2]), 0)
    if not size or not 1 <= content[1] <= content[0]:
        raise MalformedValue("the packet does not hold the records it announces")
    if content[1] == 1 or len(equal) > MOST_WEIGHINGS:
        equal.clear()
    refused = []
    for at in range(3, len(content), size):
        try:
            yield _weight(content[at : at + size], frame, equal)
        except MalformedValue as impossible:
            refused.append(impossible.detail)
    if refused:
        raise MalformedValue("; ".join(refused))


def _weight(record: bytes, frame: bytes, equal: Counter[str]) -> Reading:
    *clock, number, high, low = record
    moment, raw = device_time(2000 + clock[0], *clock[1:]), high << 8 | low
    if raw == 0:
        raise MalformedValue("zero is not a value")
    weight = Decimal(raw).scaleb(-2)
    name = f"body_weight {moment.isoformat()} {weight}"
    equal[name] += 1
    return Reading(
        Kind.BODY_SIZE,
        {Measure.BODY_WEIGHT: Quantity(weight, "kg")},
        (frame,),
        device_time=moment,
        context={"number": str(number)},
        stored=True,
        record=f"{name} {equal[name]}" if equal[name] > 1 else name,
    )


def talk(_settings: Settings) -> Dialogue:
    """Read the memory, and look again every minute."""
    while True:
        if not (yield from _read(QUESTIONS[0])) and not (yield from _read(QUESTIONS[1])):
            raise NoAnswer("the scale does not tell its memory")
        while (answer := (yield Listen(timeout=LOOK_AGAIN, orders=True))) is not None:
            if isinstance(answer, Order):
                break
            if isinstance(answer, Frame):
                yield from pass_on(decode([answer]))


def _read(question: bytes) -> Told:
    """Ask for the memory and pass on what the journal does not know; return whether there was an answer."""
    yield Send(question)
    heard: list[Frame] = []
    told = complete = False
    while not complete and len(heard) < MOST_FRAMES:
        answer = yield Listen(timeout=ANSWER)
        if not isinstance(answer, Frame):
            break
        heard.append(answer)
        content = answer.data[6:-1]
        if answer.data[5] in RECORDS and content:
            told, complete = True, content[0] in {0, *content[1:2]}
    for item in decode(heard):
        if not isinstance(item, Reading) or not item.record or (yield Known(item.record)) is not True:
            yield from pass_on([item])
    if told and not complete:
        yield Observe(Notice("contec_wt100.records_incomplete", fault=True))
    return told


DRIVER = Driver(
    name="contec_wt100",
    title="Contec WT100 weighing scale",
    models=("Contec WT100",),
    kinds=(Kind.BODY_SIZE,),
    link=Serial(),
    framer=framer,
    decode=decode,
    talk=talk,
    grade="C",
    provenance="constructed",
    sources="serial/contec_wt100.md: a decompiled vendor app, no frame of a scale",
    not_known=(
        "any frame of a scale (those here are constructed)",
        "whether an answer carries the command of its question, and whether all packets come by themselves",
        "what a record's number means: the scale's place or a person's",
        "how wrong the scale's clock is: it tells it only in answer to its setting, which is not done here",
        "whether a scale without seconds answers the question for records with seconds",
        "how an overload or a weighing that failed stands in the memory",
    ),
    orders=("read_records",),
)
