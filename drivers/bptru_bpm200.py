"""VSM MedTech BpTRU BPM-200: automated office blood pressure, one reading or a series with its average.

Cable: USB HID 10B7:1234, messages of 8 bytes. The monitor is greeted and then only listened to until a
person orders a measurement. That order clears the monitor's list of the last person's readings, else it would
average two persons (what it said while the cable was in is stored here already); it sets the time between
readings (0: a single one) and starts. Each reading of a series is reported, and the average as what it is;
what the monitor merely shows again is not. Never tried on hardware. The messages are in `protocol/bptru.py`.
"""

from collections.abc import Generator
from dataclasses import dataclass

from drivers.catalogue import Driver, Hid, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Listen, Observe, Order, Report, Send, Settings, Step
from drivers.push import pass_on
from protocol import bptru
from protocol.bptru import (
    ACK,
    AVERAGE,
    BUTTON,
    CLEARED,
    CYCLED,
    HANDSHAKE,
    NACK,
    NOTIFICATION,
    RESULT,
    REVIEW,
    STARTED,
    STOPPED,
    command,
)
from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.readings import Kind, Notice, Reading

ANSWER = 3.0
"""Seconds without an answer after which the known client greets again."""
TRIES = 3
"""Ours: how often a monitor is greeted."""
MOST_CYCLES = 10
"""Ours: the known monitors have fewer steps between their times."""
LONGEST = 3
"""Ours: minutes of silence, beyond the time between two readings, after which a measurement is given up."""
START_ORDER, STOP_ORDER = "start_blood_pressure", "stop_blood_pressure"

decode = frame_by_frame(bptru.decode_message)

Part = Generator[Step, Answer, None]


def talk(settings: Settings) -> Dialogue:
    """Greet the monitor and follow it; start and stop only when a person asks."""
    monitor = _Monitor(int(settings["cycle"]))
    yield from monitor.greet()
    while True:
        answer = yield Listen(timeout=monitor.patience, orders=True)
        if answer is None:
            yield Send(command(STOPPED))
            yield from monitor.end("timed_out")
        elif isinstance(answer, Order):
            yield from monitor.obey(answer)
        elif isinstance(answer, Frame):
            yield from monitor.follow(answer)


@dataclass(slots=True)
class _Monitor:
    """One monitor: whether it measures, and how many minutes lie between its readings."""

    usual: int
    cycle: int = 0
    underway: bytes = b""
    """The last message of the measurement that is under way."""

    @property
    def patience(self) -> float | None:
        """Return the seconds that a measurement under way may be silent."""
        return 60.0 * (self.cycle + LONGEST) if self.underway else None

    def greet(self) -> Part:
        """Make sure that somebody is there."""
        for _ in range(TRIES):
            if (answer := (yield from self._ask(HANDSHAKE))) is not None:
                yield from pass_on(decode([answer]))
                return
        raise NoAnswer("the monitor does not answer the handshake")

    def obey(self, order: Order) -> Part:
        """Do what a person asked."""
        wanted = order.arguments.get("cycle", str(self.usual))
        if order.name == STOP_ORDER:
            yield from self._stop()
        elif self.underway:
            yield Observe(Notice("nibp.already_measuring"))
        elif not wanted.isdecimal() or not (yield from self._start(int(wanted))):
            yield Observe(Notice("bptru_bpm200.not_started", {"cycle": wanted}, fault=True))

    def follow(self, frame: Frame) -> Part:
        """Pass on what the monitor says by itself."""
        yield from self._take(frame.data)
        if frame.data[1] == NOTIFICATION:
            yield from self.greet()

    def end(self, reason: str, said: bytes = b"") -> Part:
        """Report that the measurement under way, if there is one, ended without a value."""
        if self.underway:
            evidence, self.underway = said or self.underway, b""
            yield Report(Reading(Kind.BLOOD_PRESSURE, {}, (evidence,), failed=reason))

    def _take(self, frame: bytes) -> Part:
        number, action = frame[1], frame[2]
        if number != REVIEW:
            yield from pass_on(decode([Frame(frame)]))
        if number == BUTTON and action == STOPPED:
            yield from self.end("stopped_at_machine", frame)
        elif number == NOTIFICATION:
            yield from self.end("device_error:unexpected_reset", frame)
        elif number == BUTTON and action == STARTED:
            self.cycle, self.underway = frame[3], frame
        elif number == AVERAGE or (number == RESULT and self.cycle == 0):
            self.underway = b""
        elif self.underway:
            self.underway = frame

    def _start(self, wanted: int) -> Generator[Step, Answer, bool]:
        """Clear, choose the time between readings, clear, start; return whether the monitor has started."""
        if (yield from self._ask(CLEARED)) is None:
            return False
        for _ in range(MOST_CYCLES):
            answer = yield from self._ask(CYCLED)
            if answer is None:
                return False
            if answer.data[3] == wanted:
                break
        else:
            return False
        started = (yield from self._ask(CLEARED)) and (yield from self._ask(STARTED))
        if started is None:
            yield Send(command(STOPPED))  # what was not confirmed may have begun
            return False
        self.cycle, self.underway = started.data[3], started.data
        return True

    def _stop(self) -> Part:
        """Stop; a monitor that is at rest need not answer."""
        answer = yield from self._ask(STOPPED)
        yield from self.end("stopped_by_host", answer.data if answer else b"")

    def _ask(self, action: int) -> Generator[Step, Answer, Frame | None]:
        """Return the acknowledgement of a command, or None; what else is said is passed on."""
        yield Send(command(action))
        while isinstance(answer := (yield Listen(within=ANSWER)), Frame):
            if answer.data[1] == ACK and answer.data[2] == action:
                return answer
            yield from self._take(answer.data)
            if answer.data[1] == NACK:
                return None
        return None


DRIVER = Driver(
    name="bptru_bpm200",
    title="BpTRU automated office blood-pressure monitor",
    models=("VSM MedTech BpTRU BPM-200",),
    kinds=(Kind.BLOOD_PRESSURE,),
    link=Hid(bptru.SIZE, ((0x10B7, 0x1234),)),
    framer=bptru.framer,
    decode=decode,
    talk=talk,
    grade="B",
    provenance="constructed",
    sources="serial/bptru_bpm200.md: obiba/onyx-instruments, a client used in cohort studies",
    not_known=(
        "a capture: none exists",
        "whether the monitor measures rightly without being cleared first; the known client always clears",
        "which times between readings can be chosen",
        "what the digits of the firmware mean, and the messages 43, 4C, 50, 53 and 54",
    ),
    orders=(START_ORDER, STOP_ORDER),
    settings={"cycle": 0},
)
