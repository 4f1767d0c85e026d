"""Satrue (上準) scale of a Taiwanese health kiosk.

Cable: RS-232, 9600 baud. The host asks with the one letter `A`; in the answer stands the weight between `RC`
and `kg`, and `-S` where it is stable. The kiosk asks every port there is; this driver asks only the one it is
configured for. How an answer ends is not known: it is taken at a line end, else after a second of silence.
"""

import re
from collections.abc import Generator, Iterator
from decimal import Decimal

from drivers.catalogue import Driver, Refusal, Serial, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Listen, Send, Settings, Step
from drivers.repeated import Repeated
from protocol.errors import MalformedValue, NoAnswer
from protocol.framing import Frame, LineFramer
from protocol.quantities import Quantity
from protocol.readings import Kind, Measure, Progress, Reading

QUESTION = b"A"
WEIGHT = re.compile(r"RC *+(?P<value>[0-9]{1,3}(?:\.[0-9]{1,2})?) *+kg")
STABLE = "-S"
EVERY = 0.5
"""About as often as the kiosk asks."""
ANSWER = 2.5
"""Ours: seconds to answer, the second of silence that ends an answer included."""
MISSED = 3
"""Ours: so many questions without an answer and the scale is said to be silent."""


def decode_answer(frame: bytes) -> Iterator[Reading | Progress]:
    """Yield the weight of one answer: a reading where it is stable, else progress."""
    text = frame.decode("latin-1")
    found = list(WEIGHT.finditer(text))
    if len(found) != 1:
        raise MalformedValue("not one weight between RC and kg")
    weight = {Measure.BODY_WEIGHT: Quantity(Decimal(found[0]["value"]), "kg")}
    if not weight[Measure.BODY_WEIGHT].value:
        yield Progress(Kind.BODY_SIZE, weight, "empty", underway=False)
    elif STABLE in text:
        yield Reading(Kind.BODY_SIZE, weight, (frame,))
    else:
        yield Progress(Kind.BODY_SIZE, weight, "unstable")


decode = frame_by_frame(decode_answer)


def talk(_settings: Settings) -> Dialogue:
    """Ask for the weight again and again; take one per person."""
    repeated, missed = Repeated(1), 0
    while missed < MISSED:
        yield Send(QUESTION)
        heard = yield from _answered(repeated)
        missed = 0 if heard else missed + 1
        if not heard:
            repeated.quiet()
    raise NoAnswer(f"{MISSED} questions without an answer")


def _answered(repeated: Repeated) -> Generator[Step, Answer, bool]:
    """Take what is said until the next question is due; return whether an answer was among it."""
    heard = False
    while isinstance(frame := (yield Listen(EVERY) if heard else Listen(within=ANSWER)), Frame):
        for said in decode([frame]):
            heard = heard or not isinstance(said, Refusal)
            yield from repeated.take(said)
    return heard


DRIVER = Driver(
    name="satrue",
    title="Satrue scale",
    models=("Satrue kiosk scale",),
    kinds=(Kind.BODY_SIZE,),
    link=Serial(),
    framer=LineFramer,
    decode=decode,
    talk=talk,
    grade="C",
    provenance="constructed",
    sources="serial/height_weight_lines.md: geniustom/FEMET_ServicePlugin Scales_Lib.pas",
    not_known=(
        "how an answer ends, and what else stands in it",
        "what an unstable weight is marked with (anything without -S is unstable)",
        "parity and stop bits (8N1 is only the usual one)",
    ),
)
