"""Scales of the OKOK app (Chipsea), heard and never spoken to: V20 (20CA), V11 (11CA) and the C0 form.

Maker's data tell weight, unit and whether it stands; only V20 and V11 are checked. V11 does not say that a
weight stands, so its weights are shown and none is taken. What was not seen to be measured counts as stored:
nothing in an advertisement says when it was. Sources: protocols sheet ble/scales_vendor.md and public sources
no. 55172507250 and 71087548802, the latter with the lengths; no capture.
"""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from drivers.catalogue import Advertisement, Driver, Refusal, frame_by_frame
from drivers.dialogue import Dialogue, Listen, Observe, Report, Settings
from drivers.push import refused
from protocol.checks import xor8
from protocol.errors import MalformedValue
from protocol.framing import Frame, ValueFramer
from protocol.quantities import Quantity
from protocol.readings import Event, Kind, Progress, Reading
from protocol.scales import moves, stands

C0, V20, V11 = 13, 19, 23
"""Lengths of the three forms."""
V20_SEED, V11_SEED = b"\x20", b"\xca\x11"
PLACES = {0: 1, 1: 0, 2: 2}
KILOGRAM, CATTY, POUND = 0, 1, 2
C0_SHAPE = 0x20
"""What the upper three bits of a C0's properties always are."""


def decode_frame(data: bytes) -> Iterator[Reading | Event]:
    """Yield what one maker's data say; raise MalformedValue for what is not documented."""
    if len(data) == V20 and xor8(V20_SEED + data[:12]) == data[12]:
        places = 2 if data[6] & 0x04 else 1
        weight = Quantity(Decimal(int.from_bytes(data[8:10], "big")).scaleb(-places), "kg")
        resistance = {"resistance_1": str(int.from_bytes(data[10:12], "big"))}
        yield stands(weight, data, resistance) if data[6] & 0x01 else moves(weight)
    elif len(data) == V11 and xor8(V11_SEED + data[:16]) == data[16]:
        yield moves(_weight(data[3:5], data[9])[0])
    elif len(data) == C0 and data[6] & 0xE0 == C0_SHAPE:
        weight, context = _weight(data[0:2], data[6])
        yield stands(weight, data, context) if data[6] & 0x01 else moves(weight)
    else:
        raise MalformedValue("no documented advertisement of a scale")


def _weight(raw: bytes, properties: int) -> tuple[Quantity, dict[str, str]]:
    """Return the weight; 斤 is half a kilogram exactly, stones are refused."""
    places, unit = PLACES.get(properties >> 1 & 3), properties >> 3 & 3
    if places is None or unit not in {KILOGRAM, CATTY, POUND}:
        raise MalformedValue(f"properties {properties:02x}: only kg, 斤 and lb", code="okok_scale.unit")
    number = Decimal(int.from_bytes(raw, "big")).scaleb(-places)
    if unit == CATTY:
        return Quantity(number * Decimal("0.5"), "kg"), {"display_weight": f"{number} 斤"}
    return Quantity(number, "[lb_av]" if unit == POUND else "kg"), {}


decode = frame_by_frame(decode_frame)


def talk(_settings: Settings) -> Dialogue:
    """Report each weight that stands once: the same advertisement again is no news."""
    last, measuring, complained = b"", False, ""
    while True:
        answer = yield Listen()
        if not isinstance(answer, Frame):
            continue
        for said in decode([answer]):
            if isinstance(said, Reading):
                if answer.data != last:
                    yield Report(replace(said, stored=not measuring))
                last, measuring, complained = answer.data, False, ""
            elif isinstance(said, Progress):
                last, measuring = b"", said.underway
                yield Observe(said)
            elif isinstance(said, Refusal) and said.reason != complained:
                complained = said.reason
                yield Observe(refused(said))


DRIVER = Driver(
    name="okok_scale",
    title="Scale of the OKOK app (advertisements)",
    models=("OKOK V20", "OKOK V11", "Chipsea-BLE", "Yoda0", "Yoda1"),
    kinds=(Kind.BODY_SIZE,),
    link=Advertisement(names=("ADV", "Chipsea-BLE", "Yoda0", "Yoda1")),
    framer=ValueFramer,
    decode=decode,
    talk=talk,
    grade="B",
    provenance="constructed",
    sources="ble/scales_vendor.md: openScale and others; no captured frame",
    not_known=(
        "any captured frame (those here are constructed)",
        "what counts as impedance in V20: the sheet says tenths of an ohm, one program saw it never change",
        "the form F0FF, which has neither length nor check nor mark: not read",
        "when a weight was measured: one that was not seen moving counts as stored",
    ),
)
