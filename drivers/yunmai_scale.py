"""Yunmai scales: Signal, Mini (ISM), SE (ISSE).

Services FFE0 (told on FFE4) and FFE5 (FFE9, where apps write a person, the clock and a start; none is written
here). Only frames with state 2 are results; the scale's own body fat is told by some. A result that was not
seen to be measured counts as one from the memory: the scale's clock is not known.
State at 3; seconds (4), user (4), kg x 100, ohm and % x 100 (2 each) from 5 on; XOR over all from byte 1 on.
Sources: protocols sheet ble/scales_vendor.md, public sources no. 43171630274 and 65768396359; no capture.
"""

from collections.abc import Iterator
from decimal import Decimal

from drivers.carried import fresh
from drivers.catalogue import Driver, Gatt, frame_by_frame
from drivers.dialogue import Dialogue, Settings, Subscribe
from drivers.weighing import attend
from protocol.checks import xor8
from protocol.errors import MalformedValue, NoAnswer
from protocol.framing import ValueFramer
from protocol.quantities import Quantity
from protocol.readings import Event, Kind, Measure, Reading
from protocol.scales import moves, ohms

NOTIFY = "FFE4"
START = 0x0D
MOVING, FINAL = 0x01, 0x02
SHORTEST = 16
WITH_FAT = 0x1E
"""Byte 1 from which on a body fat is told."""


def decode_frame(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one frame says; raise MalformedValue for what is not documented."""
    if len(frame) < SHORTEST or frame[0] != START or xor8(frame[1:-1]) != frame[-1]:
        raise MalformedValue("no whole frame of this scale")
    if frame[3] not in {MOVING, FINAL}:
        raise MalformedValue(f"state {frame[3]:02x} is not documented")
    weight = Quantity(Decimal(_word(frame, 13)).scaleb(-2), "kg")
    if frame[3] == MOVING or not weight.value:
        yield moves(weight)
        return
    seconds, user = int.from_bytes(frame[5:9], "big"), int.from_bytes(frame[9:13], "big")
    values = {Measure.BODY_WEIGHT: weight}
    fat = _word(frame, 17) if frame[1] >= WITH_FAT and len(frame) > 19 else 0
    if fat:
        values[Measure.BODY_FAT] = Quantity(Decimal(fat).scaleb(-2), "%")
    impedance = ohms(_word(frame, 15)) if len(frame) > 17 else {}
    yield Reading(
        Kind.BODY_COMPOSITION if fat else Kind.BODY_SIZE,
        values,
        (frame,),
        context={"user": str(user), "clock_seconds": str(seconds), **impedance},
        stored=True,
        record=f"user {user} {seconds} {weight.value}" if seconds else None,
    )


def _word(frame: bytes, at: int) -> int:
    return int.from_bytes(frame[at : at + 2], "big")


decode = frame_by_frame(decode_frame)


def talk(_settings: Settings) -> Dialogue:
    """Pass on what the scale tells by itself."""
    return fresh(_conversation())


def _conversation() -> Dialogue:
    if (yield Subscribe(NOTIFY)) is not True:
        raise NoAnswer("no characteristic FFE4")
    yield from attend(decode, hold=0)


DRIVER = Driver(
    name="yunmai_scale",
    title="Yunmai scale",
    models=("Yunmai Signal", "Yunmai Mini", "Yunmai SE"),
    kinds=(Kind.BODY_SIZE, Kind.BODY_COMPOSITION),
    link=Gatt((NOTIFY,), default=NOTIFY, names=("YUNMAI",)),
    framer=ValueFramer,
    decode=decode,
    talk=talk,
    grade="A",
    provenance="constructed",
    sources="ble/scales_vendor.md: openScale and ble-scale-sync; no captured frame",
    not_known=(
        "any captured frame (those here are constructed), and where a moving weight stands in one",
        "whether the scale tells a weight to a host that writes no person, clock and start: none is written",
        "whether byte 1 is the version or the length (a body fat is read where it is 1E or more)",
        "in which zone the clock counts: its seconds are context, not a time",
    ),
)
