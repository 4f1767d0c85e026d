"""1byone's scales, among them Eufy Smart Scale C1, P1 and A1 (T9146, T9147, T9120).

Service FFF0, told on FFF4, written on FFF1. No mark says that a weight stands: two equal ones are a result.
The scale speaks once its clock was set, which only a person may order (`set_clock`).
`CF | ohm x 10 (2) | kg x 100 (2) | … | no impedance (at 9) | XOR`, least byte first. Sources: protocols sheet
ble/scales_vendor.md, public sources no. 55619434523 and 54852057500; no capture.
"""

from collections.abc import Generator, Iterable, Iterator
from datetime import datetime
from decimal import Decimal

from drivers.catalogue import Decoded, Driver, Gatt, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Listen, Observe, Order, Settings, Step, Subscribe, Write
from drivers.weighing import IDLE, Plate
from protocol.checks import xor8
from protocol.errors import MalformedValue, NoAnswer
from protocol.framing import Frame, ValueFramer
from protocol.quantities import Quantity
from protocol.readings import Event, Kind, Measure, Notice, Reading
from protocol.scales import TOLD, moves, ohms

NOTIFY, WRITE = "FFF4", "FFF1"
WEIGHT, SIZE = 0xCF, 11
ANSWERS = frozenset({b"\xf1\x00", b"\xf2\x00"})
"""The clock was set; the memory is empty or told."""


class Session:
    """What was heard at one contact: a weight is a result once it was told twice."""

    def __init__(self) -> None:
        """Begin with nothing heard."""
        self._last = b""

    def decode(self, frame: bytes) -> Iterator[Reading | Event]:
        """Yield what one frame says; raise MalformedValue for what is not documented."""
        if frame in ANSWERS:
            yield Notice(TOLD, {"bytes": frame.hex(" ")})
            return
        if len(frame) != SIZE or frame[0] != WEIGHT or xor8(frame[:-1]) != frame[-1]:
            raise MalformedValue("no whole frame of this scale")
        weight = Quantity(Decimal(int.from_bytes(frame[3:5], "little")).scaleb(-2), "kg")
        before, self._last = self._last, frame
        if not weight.value or before[3:5] != frame[3:5]:
            yield moves(weight)
            return
        impedance = Decimal(int.from_bytes(frame[1:3], "little")).scaleb(-1) if frame[9] != 1 else Decimal(0)
        evidence = (before, frame) if before != frame else (frame,)
        yield Reading(Kind.BODY_SIZE, {Measure.BODY_WEIGHT: weight}, evidence, context=ohms(impedance))


def decode(frames: Iterable[Frame]) -> Iterator[Decoded]:
    """Say what the frames of one contact mean."""
    return frame_by_frame(Session().decode)(frames)


def talk(_settings: Settings) -> Dialogue:
    """Pass on each weighing; set the clock when a person asks."""
    if (yield Subscribe(NOTIFY)) is not True:
        raise NoAnswer("no characteristic FFF4")
    plate, heard = Plate(waits=False), frame_by_frame(Session().decode)
    while (answer := (yield Listen(timeout=IDLE, orders=True))) is not None:
        if isinstance(answer, Order):
            yield from _set_clock(answer.arguments.get("time", ""))
        elif isinstance(answer, Frame):
            for said in heard([answer]):
                yield from plate.take(said, answer.data)


def _set_clock(stated: str) -> Generator[Step, Answer, None]:
    try:
        moment = datetime.strptime(stated, "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007 - the scale's own time
    except ValueError:
        yield Observe(Notice("gatt.clock_refused", {"time": stated, "reason": "no such time"}, fault=True))
        return
    parts = (moment.month, moment.day, moment.hour, moment.minute, moment.second)
    yield Write(WRITE, b"\xf1" + moment.year.to_bytes(2, "big") + bytes(parts), response=False)


DRIVER = Driver(
    name="eufy_c1",
    title="Eufy Smart Scale C1 or P1 (1byone)",
    models=("Eufy C1 (T9146)", "Eufy P1 (T9147)", "Eufy A1 (T9120)", "1byone Health Scale"),
    kinds=(Kind.BODY_SIZE,),
    link=Gatt(
        (NOTIFY, WRITE), default=NOTIFY, names=("eufy T9146", "eufy T9147", "eufy T9120", "Health Scale")
    ),
    framer=ValueFramer,
    decode=decode,
    talk=talk,
    grade="A",
    provenance="constructed",
    sources="ble/scales_vendor.md: openScale and ble-scale-sync; no captured frame",
    not_known=(
        "any captured frame (those here are constructed), and over which bytes its check code runs",
        "whether the scale tells a weight before its clock was set",
        "the longer frames of the memory: it is not asked for",
        "whether the weight is in kg where the scale shows another unit",
    ),
    orders=("set_clock",),
)
