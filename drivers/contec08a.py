"""Contec arm monitors of the 08A family: CONTEC08A by USB, 08AW and PM50 by their Bluetooth serial port.

Cable: USB HID 0483:5750, reports of 64 bytes. `variant=stream` is the same conversation over a serial port
(RFCOMM; the line settings are then of no consequence).
The monitor only answers: it is asked for its memory at each contact and every minute after. It tells its
whole memory each time. Its clock cannot be read, only set: a record keeps the time the monitor gave it, even
one in the future. The known app sets the clock and deletes the memory at every contact; here the clock is
set only when a person asks, and nothing deletes. Switched off it still answers by USB, and refuses.
The bytes are in `protocol/contec.py`.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from drivers.catalogue import Decoded, Driver, Hid, Refusal, Serial
from drivers.dialogue import Answer, Dialogue, Known, Listen, Observe, Order, Send, Settings, Step
from drivers.push import pass_on
from protocol import contec
from protocol.contec import CONFIRMED, GREETING, HELLO, KIND, PACKED, PRESSURES, READ, TAKEN, WHO
from protocol.errors import MalformedValue, NoAnswer
from protocol.framing import Frame
from protocol.readings import Kind, Notice, Reading

REPORT = 64
ANSWER = 3.0
"""Ours: seconds for an answer, and for each further record."""
LOOK_AGAIN = 60.0
"""Ours: seconds until the memory is read again."""
MOST_FRAMES = 16
"""Ours: messages that may come between a question and its answer."""


def decode(frames: Iterable[Frame]) -> Iterator[Decoded]:
    """Say what each message means; a record belongs to the last announcement before it."""
    header = b""
    for frame in frames:
        if frame.data[0] in {PRESSURES, contec.OXIMETRIES}:
            header = frame.data
        try:
            yield from contec.decode_message(frame.data, header)
        except MalformedValue as refused:
            yield Refusal(frame.data, refused.code, refused.detail)


def talk(settings: Settings) -> Dialogue:
    """Greet the monitor, read its memory, and look again every minute."""
    monitor = _Monitor(str(settings["variant"]), str(settings["user"]))
    yield from monitor.greet()
    while True:
        yield from monitor.read_records()
        while (answer := (yield Listen(timeout=LOOK_AGAIN, orders=True))) is not None:
            if isinstance(answer, Frame):
                yield from pass_on(decode([answer]))
            elif isinstance(answer, Order) and answer.name == "set_clock":
                yield from monitor.set_clock(answer.arguments.get("time", ""))
            else:
                break


Told = Generator[Step, Answer, Frame | None]


@dataclass(frozen=True, slots=True)
class _Monitor:
    """The questions put to one monitor; each passes on all else that is said meanwhile."""

    variant: str
    user: str

    def greet(self) -> Generator[Step, Answer, None]:
        """Say hello; raise NoAnswer where nobody is there."""
        if self.variant == "stream" and (yield from self._ask(WHO, KIND)) is None:
            raise NoAnswer("the monitor does not say that it is there")
        if (yield from self._ask(HELLO, GREETING)) is None:
            raise NoAnswer("the monitor does not greet")

    def read_records(self) -> Generator[Step, Answer, None]:
        """Read the whole memory and pass on what the journal does not know; the monitor keeps all of it.

        A stream that is one byte short would give records out of step, so it counts whole or not at all;
        a report is whole by itself.
        """
        yield self._send(READ[self.variant, self.user])
        header = yield from _next(PRESSURES)
        if header is None:
            raise NoAnswer("the monitor does not announce its memory")
        if header.data[0] == CONFIRMED:
            return
        count = contec.announced(header.data)
        said = yield from _collect(header, count)
        if self.variant == "stream" and len(said) < count:
            said = []
        kept = yield from _keep(said)
        if len(said) < count:
            told = {"records": str(count), "read": str(len(said))}
            yield Observe(Notice("contec08a.records_incomplete", told, fault=True))
        elif self.variant == "stream" and kept:
            yield Send(TAKEN)

    def set_clock(self, stated: str) -> Generator[Step, Answer, None]:
        """Announce the clock setting and set the moment a person stated."""
        try:
            command = contec.set_clock(datetime.strptime(stated, "%Y-%m-%dT%H:%M:%S"))  # noqa: DTZ007 - its own
        except ValueError:
            yield Observe(Notice("contec08a.clock_refused", {"time": stated}, fault=True))
            return
        for message in (contec.CLOCK_FOLLOWS, command):
            answer = yield from self._ask(message, CONFIRMED)
            if answer is None or contec.refused(answer.data) or (message == command and answer.data[3]):
                yield Observe(Notice("contec08a.clock_refused", {"time": stated}, fault=True))
                return
        yield Observe(Notice("contec08a.clock_set", {"time": stated}))

    def _ask(self, message: bytes, wanted: int) -> Told:
        yield self._send(message)
        return (yield from _next(wanted))

    def _send(self, message: bytes) -> Send:
        return Send(message.ljust(REPORT, b"\0") if self.variant == "hid" else message)


def _next(wanted: int) -> Told:
    """Return the next message that begins with *wanted*, or a refusal; None if neither came."""
    for _ in range(MOST_FRAMES):
        answer = yield Listen(within=ANSWER)
        if not isinstance(answer, Frame):
            return None
        yield from pass_on(decode([answer]))
        if answer.data[0] == wanted or (answer.data[0] == CONFIRMED and contec.refused(answer.data)):
            return answer
    return None


def _collect(header: Frame, count: int) -> Generator[Step, Answer, list[Decoded]]:
    """Return what each record says that follows the announcement, fewer than *count* where one is missing."""
    said: list[Decoded] = []
    for _ in range(count):
        record = yield Listen(timeout=ANSWER)
        if not isinstance(record, Frame) or not record.data[0] & PACKED:
            break
        said += list(decode([header, record]))[1:]
    return said


def _keep(said: Sequence[Decoded]) -> Generator[Step, Answer, bool]:
    """Pass on what the journal does not hold; return whether it holds all of it now."""
    for item in said:
        if isinstance(item, Reading) and item.record is not None and (yield Known(item.record)) is True:
            continue
        yield from pass_on([item])
    return not any(isinstance(item, Refusal) for item in said)


def _shaped(driver: Driver, settings: Settings) -> Driver:
    """Return the driver for the link that *settings* name. Raises ValueError where it cannot ask that way."""
    variant, user = settings["variant"], settings["user"]
    if (variant, user) not in READ:
        raise ValueError(f"variant {variant!r} with user {user!r}: no such question is documented")
    return driver if variant == "hid" else replace(driver, link=Serial())


DRIVER = Driver(
    name="contec08a",
    title="Contec 08A blood-pressure monitor",
    models=("CONTEC08A", "CONTEC08AW", "Contec PM50"),
    kinds=(Kind.BLOOD_PRESSURE, Kind.OXIMETRY),
    link=Hid(REPORT, ((0x0483, 0x5750),)),
    framer=contec.Framer,
    decode=decode,
    talk=talk,
    grade="A",
    provenance="captured",
    sources="serial/contec08a.md: a USB capture beside the maker's own export; a vendor app for the stream",
    not_known=(
        "the monitor's clock: it can be set but not read, so how wrong the times of its records are",
        "the monitor's serial number: no message of the USB and stream variants tells it",
        "which user an announcement names when all users' records are read",
        "what the last byte of a record means, and how a failed measurement stands in the memory",
        "whether a monitor on USB takes the clock setting (known from the stream)",
        "whether the stream answers without the clock setting that the known app always sends first",
        "whether the stream's oximetry records are worth asking for: they are understood, not asked for",
    ),
    orders=("read_records", "set_clock"),
    settings={"variant": "hid", "user": "all"},
    shaped=_shaped,
)
