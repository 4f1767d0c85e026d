"""MGB scales: ICOMON, YG and others sold as SWAN.

Service FFB0, told on FFB2; Lefu's scales have the same numbers and name and shorter frames. A result is told
in two frames of 20 bytes: weight and the scale's own body fat, then muscle, bone and water. Its apps write a
person and the clock first; nothing is written here.
Sources: protocols sheet ble/scales_vendor.md, public source no. 65912686663; no capture.
"""

from collections.abc import Iterator
from decimal import Decimal

from drivers.catalogue import Decode, Driver, Gatt, frame_by_frame
from drivers.dialogue import Dialogue, Settings, Subscribe
from drivers.weighing import attend
from protocol.errors import MalformedValue, NoAnswer
from protocol.framing import ValueFramer
from protocol.quantities import tenths
from protocol.readings import Event, Kind, Measure, Reading
from protocol.scales import more

NOTIFY = "FFB2"
SIZE = 20
FIRST = (b"\xac\x02\xff", b"\xac\x03\xff")
SECOND = b"\x01\x00"
COMPOSITION = {"muscle": 2, "bone": 6, "water": 8}
"""What the second frame tells in tenths, to where it stands; no source tells the unit."""


def decode_frame(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one frame says; raise MalformedValue for what is not documented."""
    if len(frame) != SIZE or not frame.startswith((*FIRST, SECOND)):
        raise MalformedValue("no frame of this scale")
    if frame.startswith(SECOND):
        told = {name: int.from_bytes(frame[at : at + 2], "little") for name, at in COMPOSITION.items()}
        yield more({name: format(Decimal(raw).scaleb(-1), "f") for name, raw in told.items() if raw})
        return
    weight = tenths(int.from_bytes(frame[12:14], "big"), "kg")
    fat = int.from_bytes(frame[16:18], "big")
    if not weight.value:
        raise MalformedValue("zero is not a value")
    values = {Measure.BODY_WEIGHT: weight}
    if fat:
        values[Measure.BODY_FAT] = tenths(fat, "%")
    yield Reading(Kind.BODY_COMPOSITION if fat else Kind.BODY_SIZE, values, (frame,))


decode: Decode = frame_by_frame(decode_frame)


def talk(_settings: Settings) -> Dialogue:
    """Pass on what the scale tells by itself."""
    if (yield Subscribe(NOTIFY)) is not True:
        raise NoAnswer("no characteristic FFB2")
    yield from attend(decode)


DRIVER = Driver(
    name="mgb_scale",
    title="MGB scale (ICOMON, YG)",
    models=("ICOMON", "YG", "SWAN with 20-byte frames"),
    kinds=(Kind.BODY_SIZE, Kind.BODY_COMPOSITION),
    link=Gatt((NOTIFY,), default=NOTIFY, names=("ICOMON", "icomon", "YG")),
    framer=ValueFramer,
    decode=decode,
    talk=talk,
    grade="B",
    provenance="constructed",
    sources="ble/scales_vendor.md: openScale and ble-scale-sync; no captured frame",
    not_known=(
        "any captured frame (those here are constructed), and where their check code stands: none is checked",
        "whether the weight is in kg where the scale shows another unit: set it to kg",
        "whether the scale tells a result to a host that writes no person and no clock: neither is written",
        "the units of muscle, bone and water, and bytes 3 to 11 (a time, in one program)",
    ),
)
