"""What drivers of scales that are connected to share: one result a weighing; a helper, no driver itself.

A scale tells a weight that stands several times, and what it measured besides (impedance) after it. The
result is held until that came or HOLD passed. No source tells how such a scale says that the next person
stands there: it is a new weighing where the weight moved and stands elsewhere, or the plate was nearly empty.
"""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from drivers.catalogue import Decode, Decoded
from drivers.dialogue import Answer, Listen, Observe, Report, Step, Write
from drivers.push import pass_on
from protocol.errors import LinkError
from protocol.framing import Frame
from protocol.quantities import Quantity
from protocol.readings import Measure, Notice, Progress, Reading
from protocol.scales import MORE

HOLD = 8.0
"""Seconds in which an impedance may follow (ble/scales_vendor.md: 3 to 8)."""
IDLE = 60.0
"""Ours: seconds without a word after which the link is given up; a scale nobody stands on sleeps sooner."""
MOST = 100
"""Ours: after so many frames that bring nothing new the wait is over, too."""
EMPTY = Decimal("0.5")
"""Ours: below this part of the weight told last, its person has stepped off."""

Part = Generator[Step, Answer, None]


def no_answer(_: Frame) -> Iterable[Write]:
    """Answer nothing."""
    return ()


def attend(
    decode: Decode, hold: float = HOLD, answers: Callable[[Frame], Iterable[Write]] = no_answer
) -> Part:
    """Pass on what the scale tells until it is silent; a weight waits *hold* seconds for what belongs to it.

    *answers* are written before anything else is done with a value: the scale waits for them.
    """
    plate = Plate(waits=hold > 0)
    while True:
        answer = yield from next_word(plate, hold)
        if isinstance(answer, Frame):
            yield from answers(answer)
            for said in decode([answer]):
                yield from plate.take(said, answer.data)
        elif plate.held is None:
            return
        if not isinstance(answer, Frame) or plate.waited_long:
            yield from plate.settle()


def next_word(plate: "Plate", hold: float = HOLD, *, orders: bool = False) -> Generator[Step, Answer, Answer]:
    """Return what the scale says next, None once it was silent; if the link ends, what is held is told first.

    A weight that is held stands already: what was still to come would only have been added to it.
    """
    try:
        return (yield Listen(timeout=hold if plate.held else IDLE, orders=orders))
    except LinkError:
        yield from plate.settle()
        raise


@dataclass(slots=True)
class Plate:
    """What stands on a scale. `held` waits for what belongs to it; `told` is the last weight reported."""

    waits: bool
    held: Reading | None = None
    told: Quantity | None = None
    moved: bool = False
    heard: int = 0
    """Frames since the weight stands."""

    @property
    def waited_long(self) -> bool:
        """Say whether a weight is held and nothing that belongs to it came for long."""
        return self.held is not None and self.heard > MOST

    def take(self, said: Decoded, frame: bytes) -> Part:
        """Take what one frame said."""
        self.heard += 1
        if isinstance(said, Reading) and Measure.BODY_WEIGHT in said.values:
            yield from self._weighed(said)
        elif isinstance(said, Progress):
            yield from self._moved(said)
        elif isinstance(said, Notice) and said.code == MORE:
            if self.held is not None:
                self._join(replace(self.held, context=said.detail, evidence=(frame,)))
                yield from self.settle()
        else:
            yield from pass_on([said])

    def settle(self) -> Part:
        """Report what is held."""
        weighed, self.held = self.held, None
        if weighed is not None:
            self.told, self.moved = weighed.values[Measure.BODY_WEIGHT], False
            yield Report(weighed)

    def _weighed(self, said: Reading) -> Part:
        weight = said.values[Measure.BODY_WEIGHT]
        if self.held is None:
            if self.told is not None and (weight == self.told or not self.moved):
                return
            self.held, self.heard = said, 0
        elif weight == self.held.values[Measure.BODY_WEIGHT]:
            self._join(said)
        else:
            self.held = said
        if not self.waits or said.context:
            yield from self.settle()

    def _moved(self, said: Progress) -> Part:
        weight = next(iter(said.values.values()), None)
        before = self.held.values[Measure.BODY_WEIGHT] if self.held else self.told
        stepped_off = weight is not None and before is not None and weight.value < before.value * EMPTY
        if not said.underway or stepped_off:
            yield from self.settle()
            self.told = None
        self.moved = True
        if self.held is None and (self.told is None or not said.underway):
            yield Observe(said)

    def _join(self, more: Reading) -> None:
        """Add to what is held; a frame that says nothing new adds nothing."""
        held = self.held
        if held is not None and (
            more.values != held.values or {**held.context, **more.context} != held.context
        ):
            self.held = replace(
                more,
                context={**held.context, **more.context},
                evidence=tuple(dict.fromkeys((*held.evidence, *more.evidence))),
            )
