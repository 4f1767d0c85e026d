"""Menarini GlucoMen Areo glucose meter on its 2.5 mm jack cable (CP210x): text blocks, 9600 8O1.

Values come in the meter's own unit, each with it: mmol/L or mg/dL, never assumed. The memory comes in one
block under one check code. The meter's clock can be set and not read, so it is left alone: whether it is
right, nobody can see here. The blocks are in `protocol/menarini.py`.
"""

from collections.abc import Iterable, Iterator

from drivers.catalogue import Decoded, Driver, Refusal, Serial, frame_by_frame
from drivers.dialogue import Dialogue, Settings
from drivers.meters import Part, Told, ask, attend, incomplete
from drivers.push import pass_on
from protocol import menarini
from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.menarini import READ_IDENTITY, READ_RECORDS
from protocol.readings import Kind, Notice, Reading

ANSWER = 3.0
"""Ours: seconds a meter has to say who it is."""
TRIES = 3
MEMORY = 60.0
"""Ours: seconds for a memory; 700 records take 26 at this speed."""

decode = frame_by_frame(menarini.decode_block)


def talk(_settings: Settings) -> Dialogue:
    """Ask who is there and for its memory, again and again."""
    return attend(_Meter())


class _Meter:
    """The questions put to the meter that hangs on the cable now."""

    def __init__(self) -> None:
        self.decode = _unasked
        self._told = Told()
        self._identity = b""

    def look(self, *, whole: bool) -> Part:
        """Ask who is there; a meter that was not there before is read whole."""
        identity = yield from ask(READ_IDENTITY, _unasked, menarini.is_identity, ANSWER, TRIES)
        if identity is None:
            raise NoAnswer("no serial number")
        if identity.data != self._identity:
            self._identity, whole = identity.data, True
            self._told.forget()
            yield from pass_on(decode([identity]))
        if whole:
            yield from self._memory()

    def _memory(self) -> Part:
        """Read the memory once more where it was damaged, then pass on what is new."""
        for _ in range(2):
            memory = yield from ask(READ_RECORDS, _unasked, menarini.is_block, MEMORY)
            if memory and menarini.is_memory(memory.data):
                said = list(decode([memory]))
                yield from self._told.news(said)
                if not any(isinstance(item, Refusal) for item in said):
                    return
                break
        yield from incomplete()


def _unasked(frames: Iterable[Frame]) -> Iterator[Decoded]:
    """Give what blocks say that nobody asked for; no value is taken that no check code covers."""
    return (item for item in decode(frames) if not isinstance(item, Reading | Notice))


DRIVER = Driver(
    name="glucomen_areo",
    title="GlucoMen Areo glucose meter",
    models=("Menarini GlucoMen Areo",),
    kinds=(Kind.GLUCOSE,),
    link=Serial(parity="O"),
    framer=menarini.framer,
    decode=decode,
    talk=talk,
    grade="B",
    provenance="constructed",
    sources="serial/other_glucose_meters.md: glucometer-protocols and glucometerutils; no meter was heard",
    not_known=(
        "the order of the results: newest first is taken, as with other meters",
        "how HI, LO and control solution stand in a line: a mark or number no source names is refused",
        "the meter's clock: it can be set and not read",
        "the three numbers before the serial number",
    ),
    orders=("read_records",),
)
