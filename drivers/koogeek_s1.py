"""Koogeek S1 scale.

Service FFF0, told on FFF4, answered on FFF3: the scale says hello until it is answered, and tells no weight
before. FFF0 is also Eufy's, QN's and Vitafit's service: the name and a whole frame say that it is this scale.
The frames are in `protocol/koogeek.py`.
"""

from collections.abc import Iterator

from drivers.catalogue import Driver, Gatt, frame_by_frame
from drivers.dialogue import Dialogue, Settings, Subscribe, Write
from drivers.weighing import attend
from protocol import koogeek
from protocol.errors import NoAnswer
from protocol.framing import Frame, ValueFramer
from protocol.readings import Kind

NOTIFY, WRITE = "FFF4", "FFF3"

decode = frame_by_frame(koogeek.decode_frame)


def talk(_settings: Settings) -> Dialogue:
    """Answer the scale's hello, then pass on each weighing."""
    if (yield Subscribe(NOTIFY)) is not True:
        raise NoAnswer("no characteristic FFF4")
    yield from attend(decode, answers=_answers)


def _answers(frame: Frame) -> Iterator[Write]:
    if told := koogeek.answer(frame.data):
        yield Write(WRITE, told, response=False)


DRIVER = Driver(
    name="koogeek_s1",
    title="Koogeek S1 scale",
    models=("Koogeek S1",),
    kinds=(Kind.BODY_SIZE,),
    link=Gatt((NOTIFY, WRITE), default=NOTIFY, names=("Koogeek-S1",)),
    framer=ValueFramer,
    decode=decode,
    talk=talk,
    grade="B",
    provenance="captured",
    sources="ble/scales_vendor.md: ble-scale-sync, one captured weight; its hello in its tests",
    not_known=(
        "whether the weight is in kg where the scale shows another unit",
        "what the hello (01) and the query (07) say; the query's answer repeats one byte of it",
        "bytes 5 to 8 of a weight",
    ),
)
