"""Vitafit VT701 scale.

Service FFF0, told on FFF1, written on FFF2. The scale measures the impedance once the weight that stands was
confirmed. Its opening words are those of its maker's app, which never change. The frames are in
`protocol/vitafit.py`.
"""

from collections.abc import Iterator

from drivers.catalogue import Driver, Gatt, frame_by_frame
from drivers.dialogue import Dialogue, Settings, Subscribe, Write
from drivers.weighing import attend
from protocol import vitafit
from protocol.errors import NoAnswer
from protocol.framing import Frame, ValueFramer
from protocol.readings import Kind

NOTIFY, WRITE = "FFF1", "FFF2"

decode = frame_by_frame(vitafit.decode_frame)


def talk(_settings: Settings) -> Dialogue:
    """Open the conversation, then confirm and pass on each weighing."""
    if (yield Subscribe(NOTIFY)) is not True:
        raise NoAnswer("no characteristic FFF1")
    for body in vitafit.HELLO:
        yield Write(WRITE, vitafit.command(body), response=False)
    yield from attend(decode, answers=_answers)


def _answers(frame: Frame) -> Iterator[Write]:
    if told := vitafit.answer(frame.data):
        yield Write(WRITE, told, response=False)


DRIVER = Driver(
    name="vitafit_vt701",
    title="Vitafit VT701 scale",
    models=("Vitafit VT701",),
    kinds=(Kind.BODY_SIZE,),
    link=Gatt((NOTIFY, WRITE), default=NOTIFY, names=("Vitafit",)),
    framer=ValueFramer,
    decode=decode,
    talk=talk,
    grade="B",
    provenance="captured",
    sources="ble/scales_vendor.md: openScale, one captured weight; the layout from the same capture",
    not_known=(
        "what the app's opening words (33, 44, 17) mean: they are sent as it sends them",
        "whether the weight is in kg where the scale shows another unit",
        "byte 7 of a weight, and the other types of frames",
    ),
)
