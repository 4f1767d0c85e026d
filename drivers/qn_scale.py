"""QN scales: Renpho, FITINDEX, GE Fit Plus, Senssun, Sencor and other names.

Two forms of one protocol: service FFE0 (told on FFE1, set on FFE3, its clock on FFE4) or FFF0 (FFF1, FFF2).
The scale says first who it is and how its weights count, in tenths or hundredths; where it does not, a weight
is kept with its bytes and none is read, unless `divisor` says it. The host answers that kg are to be shown.
The clock is set only when a person orders it; the memory is not asked for.
Renpho's ES-WBE28 is another scale (sig_weight_scale). The frames are in `protocol/qn.py`.
"""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from drivers.catalogue import Decode, Decoded, Driver, Gatt, Refusal
from drivers.dialogue import Answer, Dialogue, Observe, Order, Settings, Step, Subscribe, Write
from drivers.weighing import Plate, next_word
from protocol import qn
from protocol.errors import MalformedValue, NoAnswer
from protocol.framing import Frame, ValueFramer
from protocol.readings import Kind, Notice

FORMS = {"FFF1": ("FFF2", "FFF2"), "FFE1": ("FFE3", "FFE4")}
"""Where weights are told, to where the unit and the clock are written."""
DIVISORS = (0, 10, 100)


def decoder(divisor: int) -> Decode:
    """Return the decoding; *divisor* is the configured one, 0 where the scale is to say it."""

    def decode(frames: Iterable[Frame]) -> Iterator[Decoded]:
        scale = _Scale("", divisor)
        for frame in frames:
            yield from scale.decode(frame)

    return decode


def talk(settings: Settings) -> Dialogue:
    """Tell the scale the unit, then pass on each weighing, with its resistances."""
    for notify in FORMS:
        if (yield Subscribe(notify)) is True:
            break
    else:
        raise NoAnswer("neither characteristic FFF1 nor FFE1")
    scale = _Scale(notify, int(settings["divisor"]))
    plate = Plate(waits=True)
    while True:
        answer = yield from next_word(plate, orders=True)
        if isinstance(answer, Order):
            yield from scale.set_clock(answer.arguments.get("time", ""))
        elif isinstance(answer, Frame):
            yield from scale.greet(answer)
            for said in scale.decode(answer):
                yield from plate.take(said, answer.data)
        elif plate.held is None:
            return
        if answer is None or plate.waited_long:
            yield from plate.settle()


@dataclass(slots=True)
class _Scale:
    """One scale: how it is spoken to and how its weights count."""

    notify: str
    divisor: int
    protocol: int | None = None

    def decode(self, frame: Frame) -> Iterator[Decoded]:
        """Yield what a frame says; an info says how the weights after it count."""
        try:
            if qn.is_info(frame.data):
                self.protocol = qn.protocol_of(frame.data)
                self.divisor = qn.divisor_of(frame.data) or self.divisor
            yield from qn.decode_frame(frame.data, self.divisor)
        except MalformedValue as refused:
            yield Refusal(frame.data, refused.code, refused.detail)

    def greet(self, frame: Frame) -> Generator[Step, Answer, None]:
        """Answer the first info: the scale goes on only then."""
        if qn.is_info(frame.data) and self.protocol is None:
            answer = qn.config(qn.protocol_of(frame.data))
            yield Write(FORMS[self.notify][0], answer, response=False)

    def set_clock(self, stated: str) -> Generator[Step, Answer, None]:
        """Set the clock, as a person ordered, once the scale said who it is."""
        try:
            moment = datetime.strptime(stated, "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007 - the scale's own time
            if self.protocol is None:
                raise ValueError("nothing heard yet")
            told = qn.clock(moment, None if self.notify == "FFE1" else self.protocol)
        except ValueError as wrong:
            yield Observe(Notice("gatt.clock_refused", {"time": stated, "reason": str(wrong)}, fault=True))
            return
        yield Write(FORMS[self.notify][1], told, response=False)


def _shaped(driver: Driver, settings: Settings) -> Driver:
    """Return the driver with the configured divisor; ValueError for a wrong setting."""
    if settings["divisor"] not in DIVISORS:
        raise ValueError("divisor: 0 (the scale says it), 10 or 100")
    return replace(driver, decode=decoder(int(settings["divisor"])))


DRIVER = Driver(
    name="qn_scale",
    title="QN scale (Renpho, FITINDEX and others)",
    models=("Renpho ES-26M, ES-30M, Elis 1", "FITINDEX", "GE Fit Plus CS 10 G", "Senssun", "Sencor"),
    kinds=(Kind.BODY_SIZE,),
    link=Gatt((), default="FFF1", names=("QN-Scale", "Renpho", "RENPHO", "QN-HS", "SENSSUN", "Sencor")),
    framer=ValueFramer,
    decode=decoder(0),
    talk=talk,
    grade="A",
    provenance="captured",
    sources="ble/scales_vendor.md: openScale and ble-scale-sync, captures of three scales",
    not_known=(
        "where an info of 18 bytes and more says how weights count: the setting `divisor`",
        "whether a weight is in kg where the scale shows lb: byte 3 other than in captures of kg is refused",
        "whether resistances are ohms or tenths (509 and 4350 were captured): they stand as sent",
        "whether a scale tells its weight to a host that sets no clock and no person: neither is set unasked",
        "the layout of stored records (23, B1, B4): they are kept, no value is read",
        "newer firmware that asks for a proof on AE02 before it tells a weight",
        "in which zone the clock counts: what the order says is taken as it stands",
    ),
    orders=("set_clock",),
    settings={"divisor": 0},
    shaped=_shaped,
)
