"""TaiDoc TD-42xx glucose meters: GlucoRx Nexus, GlucoMen Nexus, GlucoCheck XL, FORA relatives.

A plain serial port (9600 8N1 in a Taiwan kiosk), or a USB cable whose CP2110 chip is a HID device with a
UART at 19200 behind it, opened as a line all the same (`gateway/links/cp2110.py`). Values are always mg/dL.
A result comes in two packets, its time and its value, and a test made meanwhile shifts them all: what was
read is passed on only if count and newest record are the same afterwards. The packets are in
`protocol/taidoc.py`.
"""

from collections.abc import Generator, Iterable, Iterator
from datetime import datetime

from drivers.catalogue import Decoded, Driver, Refusal, Serial
from drivers.dialogue import Answer, Dialogue, Known, Listen, Send, Settings, Step
from drivers.meters import MOST_BETWEEN, Answered, Part, attend, incomplete
from drivers.push import pass_on
from protocol import taidoc
from protocol.errors import MalformedValue, NoAnswer
from protocol.framing import Frame
from protocol.readings import Kind, Measure, Reading
from protocol.taidoc import NOTHING, RECORD_TIME, RECORD_VALUE, is_answer, numbered, question

ANSWER = 2.0
"""Ours: seconds a meter has to answer; Tidepool waits as long."""
TRIES = 3
"""Ours: times a meter is asked whether it is there, and a memory is read that changes meanwhile."""


def decode(frames: Iterable[Frame]) -> Iterator[Decoded]:
    """Give what the frames say together: a time belongs to the value behind it."""
    meaning = taidoc.Meaning()
    for frame in frames:
        try:
            yield from meaning.of(frame.data)
        except MalformedValue as refused:
            yield Refusal(frame.data, refused.code, refused.detail)


def talk(_settings: Settings) -> Dialogue:
    """Ask who is there, for its clock and for each new record, again and again."""
    meter = _Meter()
    return attend(meter, meter.set_clock)


class _Meter:
    """The questions put to the meter that hangs on the cable now."""

    def __init__(self) -> None:
        self.decode = _unasked
        self._identity = self._seen = b""

    def look(self, *, whole: bool) -> Part:
        """Ask who is there, and for what is new in its memory."""
        for _ in range(TRIES):
            if (yield from self._ask(taidoc.CONNECT, answers=taidoc.CONNECTED)) is not None:
                break
        else:
            raise NoAnswer("no answer to connecting")
        del whole  # count and newest record say whether anything is new
        yield from self._introduce()
        yield from self._records()

    def set_clock(self, moment: datetime) -> Part:
        """Set the clock; the meter says what it is now."""
        clock = yield from self._ask(taidoc.SET_CLOCK, taidoc.clock_field(moment))
        yield from pass_on(decode([clock]) if clock else ())

    def _introduce(self) -> Part:
        """Read model and serial number, and the clock of a meter that was not there before."""
        said = []
        for command in (taidoc.MODEL, taidoc.SERIAL_1, taidoc.SERIAL_2):
            answer = yield from self._ask(command)
            said += [answer] if answer else []
        identity = b"".join(frame.data for frame in said)
        if identity != self._identity or not identity:
            self._identity, self._seen = identity, b""
            yield from pass_on(decode(said))
            clock = yield from self._ask(taidoc.READ_CLOCK)
            yield from pass_on(decode([clock]) if clock else ())

    def _records(self) -> Part:
        for _ in range(TRIES):
            before = yield from self._newest()
            if before and before == self._seen:
                return
            said = yield from self._walk(taidoc.counted(before)) if before else _nothing()
            if said is not None and (yield from self._newest()) == before:
                self._seen = before
                for one in reversed(said):
                    yield from pass_on(one)
                return
        yield from incomplete()

    def _newest(self) -> Generator[Step, Answer, bytes]:
        """Return count and newest record, which change with every test; nothing where one is silent."""
        count = yield from self._ask(taidoc.COUNT)
        if count is None or not taidoc.counted(count.data):
            return count.data if count else b""
        pair = yield from self._pair(0)
        return count.data + b"".join(frame.data for frame in pair) if pair else b""

    def _walk(self, count: int) -> Generator[Step, Answer, list[list[Decoded]] | None]:
        """Return what the records say, newest first, up to a known one; None where one is silent."""
        said: list[list[Decoded]] = []
        for index in range(count):
            pair = yield from self._pair(index)
            if pair is None:
                return None
            one = list(decode(pair))
            names = [item.record for item in one if isinstance(item, Reading) and item.record]
            if names and (yield Known(names[0])) is True:
                break
            said.append(one)
        return said

    def _pair(self, index: int) -> Generator[Step, Answer, list[Frame] | None]:
        time = yield from self._ask(RECORD_TIME, numbered(index))
        value = (yield from self._ask(RECORD_VALUE, numbered(index))) if time else None
        return [time, value] if time and value else None

    def _ask(self, command: int, data: bytes = NOTHING, answers: Iterable[int] = ()) -> Answered:
        """Return the answer to *command*; a meter that meanwhile says it is ready is asked once more."""
        wanted = set(answers) or {command}
        again = taidoc.COMMUNICATING not in wanted
        yield Send(question(command, data))
        for _ in range(MOST_BETWEEN):
            heard = yield Listen(within=ANSWER)
            if not isinstance(heard, Frame):
                return None
            if is_answer(heard.data, wanted):
                return heard
            if again and is_answer(heard.data, {taidoc.COMMUNICATING}):
                again = False
                yield Send(question(command, data))
        return None


def _unasked(frames: Iterable[Frame]) -> Iterator[Decoded]:
    """Give what frames say that nobody asked for; half a record, or four bytes of noise, say nothing."""
    halves = {RECORD_TIME, RECORD_VALUE}
    return decode(one for one in frames if len(one.data) == taidoc.SIZE and not is_answer(one.data, halves))


def _nothing() -> Generator[Step, Answer, None]:
    """Read nothing."""
    yield from ()


DRIVER = Driver(
    name="taidoc_td42xx",
    title="TaiDoc TD-42xx glucose meter",
    models=("GlucoRx Nexus", "Menarini GlucoMen Nexus", "Aktivmed GlucoCheck XL", "TaiDoc TD-4277, TD-4235B"),
    kinds=(Kind.GLUCOSE,),
    link=Serial(baudrate=19200),
    framer=taidoc.framer,
    decode=decode,
    talk=talk,
    grade="A",
    provenance="constructed",
    sources="serial/taidoc_td42xx.md: glucometer-protocols, glucometerutils and its tests, Tidepool, a kiosk",
    not_known=(
        "the speed of a plain serial port: 19200 as behind the USB chip; a kiosk uses 9600",
        "whether the cable's chip (CP2110) obeys: set as its maker's specification says, never tried on one",
        "how the halves of the serial number join: as Tidepool reads them",
        "what the third byte of a value means; which further kinds of test there are",
    ),
    orders=("read_records", "set_clock"),
    machine_range={Measure.GLUCOSE: taidoc.SHOWN},
)
