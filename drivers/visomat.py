"""UEBE Visomat Double Comfort and Prevention DS-2200PV: the memory of a home blood-pressure monitor.

The monitor is a USB device of the vendor class, no serial port: its text passes over bulk endpoints
(`gateway/links/bulk.py`), so no baud rate means anything; the port is `usb:` with the ids it shows. `R02`
asks for the clock and `R00` for the whole memory; nothing says which records are new, so all are read and
those known are left out. Times that cannot be, as real memories hold them, are marked and the values kept.
The answers themselves are in `protocol/visomat.py`.
"""

from collections.abc import Generator

from drivers.catalogue import Driver, Serial, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Known, Listen, Send, Settings, Step
from drivers.push import pass_on
from protocol import visomat
from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.readings import Kind, Reading
from protocol.visomat import CLOCK, DUMP

ANSWER = 5.0
"""Ours: seconds the monitor has to answer."""
LOOK_AGAIN = 60.0
"""Ours: seconds until a monitor that stays connected is asked again."""

decode = frame_by_frame(visomat.decode_answer)


def talk(_settings: Settings) -> Dialogue:
    """Read clock and memory, tell what is new, and look again after a while or when a person asks."""
    told = b""
    while True:
        if (clock := (yield from _ask(CLOCK))) is not None:
            yield from pass_on(decode([clock]))
        if (memory := (yield from _ask(DUMP))) is None:
            raise NoAnswer("no memory was told")
        if memory.data != told:
            yield from _tell_new(memory)
        told = memory.data
        while isinstance((yield Listen(timeout=LOOK_AGAIN, orders=True)), Frame):
            pass


def _ask(question: bytes) -> Generator[Step, Answer, Frame | None]:
    yield Send(question)
    while isinstance(answer := (yield Listen(within=ANSWER)), Frame):
        answers = visomat.is_dump if question == DUMP else visomat.is_clock
        if answers(answer.data):
            return answer
    return None


def _tell_new(memory: Frame) -> Generator[Step, Answer, None]:
    for item in decode([memory]):
        known = isinstance(item, Reading) and item.record is not None and (yield Known(item.record))
        if not known:
            yield from pass_on([item])


DRIVER = Driver(
    name="visomat",
    title="UEBE Visomat blood-pressure monitor",
    models=("Visomat Double Comfort", "Visomat Prevention DS-2200PV"),
    kinds=(Kind.BLOOD_PRESSURE,),
    link=Serial(bulk=True),
    framer=visomat.AnswerFramer,
    decode=decode,
    talk=talk,
    grade="B",
    provenance="captured",
    sources="serial/visomat.md: the visomat-utils tool of git.ao2.it with stored captures",
    not_known=(
        "the USB ids; which bulk endpoints (the lowest two of an interface that no driver has taken)",
        "how the clock is told in the answer to R02 (its text is shown; stored times stay unproven)",
        "whether flag 1 really means an irregular pulse",
        "in which order the records of a bank stand",
        "from which year on a stored time is a lost clock (2040 is ours; 2044 was seen)",
    ),
    orders=("read_records",),
)
