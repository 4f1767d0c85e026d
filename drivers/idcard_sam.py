"""Readers of Chinese resident identity cards with a SAM module (GA 450): 新中新, 华视, 神思, 中控 and others.

Cable: RS-232 or a USB-serial bridge, 115200 8N1; those that are HID or bulk devices speak by a closed library
and are not meant here. The reader says nothing unasked: it is asked for a card again and again, which starts
nothing. A card gives no reading but a `CardRead`: who sits down. It is told once, until it was taken away; a
reader may go on finding it, or not, as long as it lies there. The messages are in `protocol/idcard.py`.
"""

from collections.abc import Generator
from dataclasses import dataclass

from drivers.catalogue import Decoded, Driver, Refusal, Serial, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Listen, Observe, Send, Settings, Step
from protocol import idcard
from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.idcard import (
    FIND,
    FOUND,
    NO_CARD,
    READ,
    READY,
    SELECT,
    SELECTED,
    STATUS,
    UNKNOWN_ANSWER,
    command,
)
from protocol.readings import CardRead, Notice

BETWEEN = 0.5
"""Seconds between two questions; the sheet wants 0.3 at least."""
ANSWER, WHOLE_CARD = 2.0, 5.0
"""Ours: seconds a reader has to answer, and to read a whole card."""
UNANSWERED = 3
"""Ours: so many questions in a row without an answer, and the reader is silent."""
NOT_READY = 5.0
"""Ours: seconds until a reader that failed its self test is asked again."""
AWAY = 2
"""Ours: a card not found so many times in a row was taken away; once may be a slip of the reader's."""
CALM, STILL_THERE = 12, 120
"""Ours: times without a card, about 6 s and 1 min, until what was said of the last one no longer stands, and
until the reader is let known to be there still."""

decode = frame_by_frame(idcard.decode_frame)

Asked = Generator[Step, Answer, Decoded | None]


def talk(_settings: Settings) -> Dialogue:
    """Wait for cards and tell whose each is, once."""
    yield from _ready()
    table = _Table()
    while True:
        yield from table.look()
        yield from _pause(BETWEEN)


def _ready() -> Generator[Step, Answer, None]:
    """Return when the reader says that it is ready; raise NoAnswer where it says nothing."""
    told: Notice | None = None
    while True:
        said = yield from _ask(STATUS, ANSWER)
        if said is None:
            raise NoAnswer("the status question")
        notice = READY if said == READY else _fault(said)
        if notice != told:
            yield Observe(notice)
        told = notice
        if notice == READY:
            return
        yield from _pause(NOT_READY)


@dataclass(slots=True)
class _Table:
    """What lies on the reader, and what was told about it."""

    absent: int = 0
    """How often in a row no card was found."""
    holder: CardRead | None = None
    """Whose card was told, until it was taken away."""
    settled: bool = False
    """Nothing more is to be read from the card that lies there."""
    told: Notice | None = None
    """The fault that was told about it."""
    unanswered: int = 0

    def look(self) -> Generator[Step, Answer, None]:
        """Ask for a card once, and read it where there is one that is not known yet."""
        said = yield from self._ask(FIND, ANSWER)
        if said == NO_CARD:
            self.absent, self.settled, self.told = self.absent + 1, False, None
            if self.absent == AWAY:
                self.holder = None
            if self.absent == CALM or self.absent % STILL_THERE == 0:
                yield Observe(NO_CARD)
        elif said != FOUND:
            yield from self._tell(said)
        else:
            self.absent = 0
            if not self.settled:
                yield from self._take()

    def _take(self) -> Generator[Step, Answer, None]:
        """Select and read the card; after any fault the next look begins anew."""
        said = yield from self._ask(SELECT, ANSWER)
        if said in (SELECTED, READY):
            said = yield from self._ask(READ, WHOLE_CARD)
            self.settled = isinstance(said, Refusal) and said.code != UNKNOWN_ANSWER
        if not isinstance(said, CardRead):
            yield from self._tell(said)
            return
        self.settled = True
        if said != self.holder or self.told is not None:
            self.holder, self.told = said, None
            yield Observe(said)

    def _ask(self, question: bytes, patience: float) -> Asked:
        said = yield from _ask(question, patience)
        self.unanswered = self.unanswered + 1 if said is None else 0
        if self.unanswered == UNANSWERED:
            raise NoAnswer(f"{UNANSWERED} questions")
        return said

    def _tell(self, said: Decoded | None) -> Generator[Step, Answer, None]:
        """Let a fault be known, once for each card."""
        fault = _fault(said)
        if fault != self.told:
            yield Observe(fault)
        self.told = fault


def _fault(said: Decoded | None) -> Notice:
    """Return what is wrong in words for a person; never what a card says."""
    if isinstance(said, Refusal):
        return Notice(said.code, fault=True)
    if said == NO_CARD:
        return Notice("idcard_sam.taken_away", fault=True)
    if isinstance(said, Notice) and said.fault:
        return said
    return Notice("idcard_sam.read_failed", fault=True)


def _ask(question: bytes, patience: float) -> Asked:
    """Put *question* and return what the answer says, None where none came."""
    yield Send(command(question))
    answer = yield Listen(within=patience)
    return next(iter(decode([answer]))) if isinstance(answer, Frame) else None


def _pause(seconds: float) -> Generator[Step, Answer, None]:
    """Let time pass since the last question; an answer that comes so late is not taken for the next one's."""
    while (yield Listen(within=seconds)) is not None:
        pass


DRIVER = Driver(
    name="idcard_sam",
    title="Chinese resident identity card reader (SAM)",
    models=("readers of 新中新, 华视, 神思 and 中控 on a serial line",),
    kinds=(),
    link=Serial(baudrate=115200),
    framer=idcard.SamFramer,
    decode=decode,
    talk=talk,
    grade="A",
    provenance="document",
    sources="serial/idcard_sam.md: three independent clients (two in Qt, one in Java) and one for new cards",
    not_known=(
        "how a third-generation answer states the fingerprint's length (a third length where that fits)",
        "the wrapper that some readers put around a third-generation answer",
        "status codes beside the six of the sheet; the form of the SAM number's answer (it is not asked)",
        "how long a reader takes to read a card (5 s is ours)",
        "which readers go on finding a card that lies there",
        "cards of foreigners and other cards with another text layout (refused)",
    ),
    redact=idcard.redact,
)
