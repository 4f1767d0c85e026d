"""Sanitas SBF70 and SBF75, Beurer BF710 and relatives.

Service FFE0, told and written on FFE1; QN's and Yunmai's scales use the same numbers: the name and a frame
say that it is this one. Every frame is confirmed, else the scale does not go on. A weight is taken after
three equal ones; to a person the scale knows it tells a composition ten seconds later.
Its persons, clock and memory are left alone. The frames are in `protocol/sanitas.py`.
"""

from collections.abc import Iterable, Iterator

from drivers.catalogue import Decoded, Driver, Gatt, frame_by_frame
from drivers.dialogue import Dialogue, Settings, Subscribe, Write
from drivers.weighing import attend
from protocol.errors import NoAnswer
from protocol.framing import Frame, ValueFramer
from protocol.readings import Kind
from protocol.sanitas import HELLO, Session, confirmation

CHARACTERISTIC = "FFE1"
HOLD = 15.0
"""Seconds to wait for a composition (public source no. 66383346627: it comes 10 to 12 after the weight)."""


def decode(frames: Iterable[Frame]) -> Iterator[Decoded]:
    """Say what the frames of one contact mean."""
    return frame_by_frame(Session().decode)(frames)


def talk(_settings: Settings) -> Dialogue:
    """Greet the scale, confirm what it tells and pass on each weighing."""
    if (yield Subscribe(CHARACTERISTIC)) is not True:
        raise NoAnswer("no characteristic FFE1")
    yield Write(CHARACTERISTIC, HELLO)
    yield from attend(frame_by_frame(Session().decode), HOLD, _answers)


def _answers(frame: Frame) -> Iterator[Write]:
    if told := confirmation(frame.data):
        yield Write(CHARACTERISTIC, told)


DRIVER = Driver(
    name="sanitas_sbf70",
    title="Sanitas SBF70 or Beurer BF710 scale",
    models=("Sanitas SBF70", "SilverCrest SBF75", "Beurer BF710", "Crane AICDSCALE1"),
    kinds=(Kind.BODY_SIZE, Kind.BODY_COMPOSITION),
    link=Gatt(
        (CHARACTERISTIC,), default=CHARACTERISTIC, names=("SANITAS SBF7", "BEURER BF710", "AICDSCALE1")
    ),
    framer=ValueFramer,
    decode=decode,
    talk=talk,
    grade="B",
    provenance="captured",
    sources="ble/scales_vendor.md: openScale and ble-scale-sync, captured weights and one composition",
    not_known=(
        "whether state 0 is a weight that stands (one program) or nobody on the plate (the other): not used",
        "in which zone the seconds of a composition count: they are context, not a time",
        "bone mass and metabolism of a composition (the captured bone mass cannot be right)",
        "whether the scale tells a weight to a host that sets no clock: it is not set here",
        "the older BF700 and BF800, whose frames begin with F7",
    ),
)
