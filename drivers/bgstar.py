"""Sanofi BGStar and MyStar Extra glucose meters on Sanofi's cable (CP210x): text lines, 115200 8N1.

Each line ends with CR and begins with a number as web servers give them: 200 all is well, 100 more to come.
No line has a check code; in a conversation none is taken that has no end. Records are asked for one by one,
0 the newest; a test that failed is kept as one too.
"""

import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from decimal import Decimal

from drivers.catalogue import Decoded, Driver, Serial, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Settings, Step
from drivers.memory import download
from drivers.meters import Answered, Part, ask, attend, incomplete, without_results
from drivers.push import pass_on
from protocol.errors import MalformedValue, NoAnswer
from protocol.framing import LineFramer
from protocol.glucose import stored
from protocol.quantities import Quantity
from protocol.readings import DeviceClock, Event, Identified, Kind, Reading
from protocol.times import device_time

HELLO = re.compile(rb"200 hello [!-~]{1,32}")
SERIAL = re.compile(rb"200 serial ([A-Za-z0-9]{1,32})")
TIME = rb"(\d{4}) (\d\d?) (\d\d?) (\d\d?) (\d\d?) (\d\d?)"
CLOCK = re.compile(rb"200 (?:datetime )?" + TIME)
COUNT = re.compile(rb"200 glucount ?(\d{1,4})")
RECORD = re.compile(rb"200 glurec (\d) (\d) (\d{1,3}) ([0-6]) " + TIME)
FAILED = re.compile(rb"200 glurec \d \d (E[!-~]{0,15})(?: [ -~]{0,60})?")
MORE = re.compile(rb"100 [ -~]{0,120}")
TIMED = re.compile(rb".* " + TIME)
MEALS: Mapping[bytes, Mapping[str, str]] = {b"0": {}} | {
    str(2 * number + after).encode(): {"meal": when, "meal_name": name}
    for number, name in enumerate(("breakfast", "lunch", "dinner"))
    for after, when in ((1, "before"), (2, "after"))
}
ANSWER = 2.0
"""Ours: seconds a meter has to answer."""
TRIES = 3
MOST = 1865
"""Records the meter keeps; the oldest goes when another comes."""


def decode_line(line: bytes) -> Iterator[Reading | Event]:
    """Yield what one line says; raise MalformedValue for what is not documented."""
    text = line.strip(b"\r\n")
    if serial := SERIAL.fullmatch(text):
        yield Identified(serial[1].decode("ascii"))
    elif clock := CLOCK.fullmatch(text):
        yield DeviceClock(device_time(*map(int, clock.groups())), line)
    elif record := RECORD.fullmatch(text):
        yield _result(record, line)
    elif failed := FAILED.fullmatch(text):
        yield _failure(failed, line)
    elif not (HELLO.fullmatch(text) or COUNT.fullmatch(text) or MORE.fullmatch(text)):
        raise MalformedValue("not a line of this meter")


def _result(record: re.Match[bytes], line: bytes) -> Reading:
    first, second, raw, meal = record.groups()[:4]
    moment = device_time(*map(int, record.groups()[4:]))
    if not int(raw):
        raise MalformedValue("zero is not a value")
    unknown = {"unknown": f"{first.decode()} {second.decode()}"}
    quantity = Quantity(Decimal(int(raw)), "mg/dL")
    return stored(quantity, moment, (line,), context={**MEALS[meal], **unknown})


def _failure(failed: re.Match[bytes], line: bytes) -> Reading:
    text, code = line.strip(b"\r\n"), failed[1].decode("ascii")
    timed = TIMED.fullmatch(text)
    return Reading(
        Kind.GLUCOSE,
        {},
        (line,),
        device_time=device_time(*map(int, timed.groups())) if timed else None,
        failed=f"device_error:{code}",
        stored=True,
        record=f"failed {text.removeprefix(b'200 glurec ').decode('ascii')}",
    )


decode = frame_by_frame(decode_line)
unasked = without_results(decode)


def question(words: str) -> bytes:
    """Return a question: `hello`, or `get` and what is wanted. Raises ValueError for any other command."""
    if not re.fullmatch(r"hello|get (?:serial|datetime|glucount|glurec \d{1,4})", words):
        raise ValueError(f"never sent: {words}")
    return f"{words}\r".encode("ascii")


def talk(_settings: Settings) -> Dialogue:
    """Ask who is there, for its clock and for each new record, again and again."""
    return attend(_Meter())


class _Meter:
    """The questions put to the meter that hangs on the cable now."""

    def __init__(self) -> None:
        self.decode = unasked
        self._serial = b""

    def look(self, *, whole: bool) -> Part:
        """Ask who is there, and for the records it has more than last time."""
        del whole
        hello = yield from ask(question("hello"), unasked, _like(HELLO), ANSWER, TRIES)
        serial = (yield from _ask("get serial", _like(SERIAL))) if hello else None
        if serial is None:
            raise NoAnswer("no serial number")
        if serial.data != self._serial:
            self._serial = serial.data
            yield from pass_on(decode([serial]))
            clock = yield from _ask("get datetime", _like(CLOCK))
            yield from pass_on(decode([clock]) if clock else ())
        counted = yield from _ask("get glucount", _like(COUNT))
        count = COUNT.fullmatch(counted.data.strip(b"\r\n")) if counted else None
        if count is None or not (yield from download(_record, min(int(count[1]), MOST))):
            yield from incomplete()


def _record(number: int) -> Generator[Step, Answer, Sequence[Decoded] | None]:
    record = yield from _ask(f"get glurec {number}", _like(re.compile(rb"200 glurec .*")))
    return list(decode([record])) if record else None


def _ask(words: str, right: Callable[[bytes], bool]) -> Answered:
    return (yield from ask(question(words), unasked, right, ANSWER))


def _like(form: re.Pattern[bytes]) -> Callable[[bytes], bool]:
    """Return a test for an answer of this form that has its end: of one cut short a digit may be missing."""
    return lambda line: line.endswith((b"\r", b"\n")) and form.fullmatch(line.strip(b"\r\n")) is not None


DRIVER = Driver(
    name="bgstar",
    title="BGStar and MyStar Extra glucose meter",
    models=("Sanofi BGStar", "Sanofi MyStar Extra"),
    kinds=(Kind.GLUCOSE,),
    link=Serial(baudrate=115200),
    framer=LineFramer,
    decode=decode,
    talk=talk,
    grade="B",
    provenance="constructed",
    sources="serial/other_glucose_meters.md: glucometer-protocols (sanofi); no meter was heard",
    not_known=(
        "what the two digits before a value mean: a test with control solution may hide there; both are kept",
        "how HI and LO stand in a record, and the values at which a meter shows them",
        "the unit of a meter that shows mmol/L: the value is taken for mg/dL as the one source found it",
        "whether a word stands before the clock (both forms are taken); the codes of failed tests",
    ),
    orders=("read_records",),
)
