"""Blood-pressure monitors with the "18F0" module: Cigii, Technaxx BP, BPM-188, Wellue and other names.

Service 18F0 (not a standard one): the module tells frames on 2AF0 and is told on 2AF1. No pairing; it can be
reached after a measurement or from its memory menu. It inflates when told A1: on a person's order and at no
other time. A result is live only where its measurement was seen under way; all others are from the memory.
The frames are in `protocol/bp_18f0.py`.
"""

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime

from drivers.carried import fresh
from drivers.catalogue import Driver, Gatt, frame_by_frame
from drivers.dialogue import (
    Answer,
    Dialogue,
    Known,
    Listen,
    Observe,
    Order,
    Report,
    Settings,
    Step,
    Subscribe,
    Write,
)
from drivers.push import pass_on
from protocol import bp_18f0
from protocol.bp_18f0 import HISTORY, START, STOP, VERSION, command
from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.readings import Kind, Notice, Progress, Reading

NOTIFY, WRITE = "2AF0", "2AF1"
FIRST_FRAME = 10.0
"""Ours: seconds an ordered module may say nothing at all before a person is told."""
LIMIT = 180.0
"""Ours: seconds after which a measurement is given up."""
ANSWER = 5.0
"""Ours: seconds a module has to answer a stop."""
IDLE = 60.0
"""Ours: seconds without a word or an order after which the link is given up."""
START_ORDER, STOP_ORDER = "start_blood_pressure", "stop_blood_pressure"

decode = frame_by_frame(bp_18f0.decode_frame)


def talk(settings: Settings) -> Dialogue:
    """Ask for the memory, pass on every result, start and stop only when a person asks."""
    return fresh(_conversation(download=bool(settings["download"])))


def _conversation(*, download: bool) -> Dialogue:
    if (yield Subscribe(NOTIFY)) is not True:
        raise NoAnswer("no characteristic 2AF0")
    module = _Module()
    yield Write(WRITE, command(VERSION))
    if download:
        yield Write(WRITE, command(HISTORY))
    while (answer := (yield Listen(timeout=IDLE, orders=True))) is not None:
        if isinstance(answer, Frame):
            yield from module.take(answer)
        elif isinstance(answer, Order) and answer.name == START_ORDER:
            yield from module.measure()
        elif isinstance(answer, Order) and answer.name == STOP_ORDER:
            yield Write(WRITE, command(STOP))
        elif isinstance(answer, Order) and answer.name == "set_clock":
            yield from _set_clock(answer.arguments.get("time", ""))
        elif isinstance(answer, Order):
            yield Write(WRITE, command(HISTORY))


def _set_clock(stated: str) -> Generator[Step, Answer, None]:
    try:
        body = bp_18f0.clock_body(datetime.strptime(stated, "%Y-%m-%dT%H:%M:%S"))  # noqa: DTZ007 - its own time
    except ValueError:
        yield Observe(Notice("bp_18f0.clock_refused", {"time": stated}, fault=True))
        return
    yield Write(WRITE, command(body))


@dataclass(slots=True)
class _Module:
    heard: bytes = b""
    """The last frame that said that a measurement is under way."""
    told: bytes = b""
    """The last result, which is no news when it is repeated."""

    def take(self, frame: Frame) -> Generator[Step, Answer, bool]:
        """Pass on what a frame says; return whether it was the last word on a measurement."""
        ended = False
        for said in decode([frame]):
            if isinstance(said, Progress):
                self.heard, self.told = frame.data, b""
            elif isinstance(said, Reading):
                ended, self.heard = True, b""
                if frame.data == self.told or (
                    said.record is not None and (yield Known(said.record)) is True
                ):
                    continue
                self.told = frame.data
            yield from pass_on([said])
        return ended

    def measure(self) -> Generator[Step, Answer, None]:
        """Start, and follow the measurement to its end."""
        self.heard = b""
        yield Write(WRITE, command(START))
        while (
            answer := (yield Listen(orders=True, within=LIMIT if self.heard else FIRST_FRAME))
        ) is not None:
            if isinstance(answer, Frame) and (yield from self.take(answer)):
                return
            if isinstance(answer, Order) and answer.name == STOP_ORDER:
                yield from self.stop()
                return
            if isinstance(answer, Order):
                yield Observe(Notice("nibp.already_measuring"))
        yield Write(WRITE, command(STOP))
        if not self.heard:
            raise NoAnswer("the start was not answered")
        yield Report(_failed("timed_out", self.heard))

    def stop(self) -> Generator[Step, Answer, None]:
        """Stop; what was under way is reported as stopped here unless the module ends it with a word."""
        yield Write(WRITE, command(STOP))
        while isinstance(answer := (yield Listen(within=ANSWER)), Frame):
            if (yield from self.take(answer)):
                return
        if self.heard:
            yield Report(_failed("stopped_by_host", self.heard))


def _failed(reason: str, frame: bytes) -> Reading:
    return Reading(Kind.BLOOD_PRESSURE, {}, (frame,), failed=reason)


DRIVER = Driver(
    name="bp_18f0",
    title="Blood-pressure monitor with the 18F0 module",
    models=("Cigii", "Technaxx BP", "BPM-188", "Wellue BPM"),
    kinds=(Kind.BLOOD_PRESSURE,),
    link=Gatt((NOTIFY, WRITE), default=NOTIFY, services=("18F0",), names=("Technaxx BP", "BPM-188")),
    framer=bp_18f0.framer,
    decode=decode,
    talk=talk,
    grade="A",
    provenance="captured",
    sources="ble/bp_18f0.md: five independent apps, three captured results; three of those apps' code",
    not_known=(
        "how the memory is told when asked for with B1: such frames are kept, no value is read from them",
        "how user and time share the six last bytes of a long result (user, then year to minute, in one app)",
        "whether the third pressure of a result is the mean (0 in every capture)",
        "whether a result without a time is told again at the next contact",
        "what the error numbers 1 and 3 and those of a result with FF mean",
        "how the battery number counts",
    ),
    orders=(START_ORDER, STOP_ORDER, "read_records", "set_clock"),
    settings={"download": True},
)
