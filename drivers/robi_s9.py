"""Robi S9 scale.

Service FFB0: a moving weight is told on FFB2, the result on FFB3; Lefu's, MGB's and Sinocare's devices use
the same numbers. Only one captured result is known. The app's opening words carry a time and a token of that
capture: they would set the scale's clock to a past day, so they are not sent; the scale may end the link.
`number | length | 00 | type | … | check`, the check being five bits of the sum from the type on. Sources:
protocols sheet ble/scales_vendor.md and public source no. 59776882225.
"""

from collections.abc import Iterator
from decimal import Decimal

from drivers.catalogue import Driver, Gatt, frame_by_frame
from drivers.dialogue import Dialogue, Settings, Subscribe
from drivers.weighing import attend
from protocol.errors import MalformedValue, NoAnswer
from protocol.framing import ValueFramer
from protocol.quantities import Quantity
from protocol.readings import Event, Kind, Notice, Reading
from protocol.scales import ohms, stands

LIVE, RESULT_AT = "FFB2", "FFB3"
SIZE = 20
MOVING, RESULT = 0xA2, 0xA3
CHECK_BITS = 0x1F


def decode_frame(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one frame says; raise MalformedValue for what is not documented."""
    if len(frame) != SIZE or frame[2] or sum(frame[3:-1]) & CHECK_BITS != frame[-1]:
        raise MalformedValue("no whole frame of this scale")
    if frame[3] == MOVING:
        yield Notice("robi_s9.moving", {"bytes": frame[3:-1].hex(" ")})
    elif frame[3] == RESULT:
        weight = Quantity(Decimal(int.from_bytes(frame[5:8], "big")).scaleb(-3), "kg")
        pulse = {"heart_rate": str(frame[8])} if frame[8] else {}
        yield stands(weight, frame, pulse | ohms(int.from_bytes(frame[9:11], "big")))
    else:
        raise MalformedValue(f"type {frame[3]:02x} is not documented")


decode = frame_by_frame(decode_frame)


def talk(_settings: Settings) -> Dialogue:
    """Pass on what the scale tells by itself."""
    if (yield Subscribe(RESULT_AT)) is not True:
        raise NoAnswer("no characteristic FFB3")
    yield Subscribe(LIVE)
    yield from attend(decode, hold=0)


DRIVER = Driver(
    name="robi_s9",
    title="Robi S9 scale",
    models=("Robi S9",),
    kinds=(Kind.BODY_SIZE,),
    link=Gatt((RESULT_AT, LIVE), default=RESULT_AT, names=("Robi", "ROBI")),
    framer=ValueFramer,
    decode=decode,
    talk=talk,
    grade="C",
    provenance="captured",
    sources="ble/scales_vendor.md: openScale, one captured result",
    not_known=(
        "whether the scale tells a result to a host that does not open as its maker's app does",
        "how that opening would be made for now (it carries a time, a token and a check code)",
        "the layout of a moving weight (A2)",
        "pulse and impedance of a result (both nought in the only capture)",
    ),
)
