"""Lepu (乐普) "VX" parameter board with a blood-pressure module behind it, built into other makers' machines.

Cable: UART, 460800 8N1. The board streams everything or nothing: the stream is switched off at the beginning
and on again only where SpO2 or temperature is wanted; curves are not looked at. A cuff is inflated when a
person orders it and at no other time: patient and first pressure go first and must be accepted.
A result is told up to three times until it is acknowledged, which happens when it is durable; what the module
tells without having measured (after power-on) is neither. No clock, no memory. Frames: `protocol/lepu.py`.
"""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Set
from dataclasses import dataclass, field, replace

from drivers.catalogue import Decoded, Driver, Refusal, Serial
from drivers.dialogue import Answer, Dialogue, Listen, Observe, Order, Report, Send, Settings, Step
from drivers.push import pass_on, refused
from protocol import lepu
from protocol.errors import ConfigError, MalformedValue, NoAnswer
from protocol.framing import Frame
from protocol.lepu import CANCEL_NIBP, DATA_OFF, DATA_ON, SET_ALL, START_NIBP, TAKEN
from protocol.readings import Kind, Measure, Notice, Progress, Reading
from protocol.steady import Steady

CHANNELS = {lepu.SPO2_VALUES: ("SpO2",), lepu.TEMPERATURES: ("T1", "T2")}
GONE = frozenset({"sensor_off", "no_sensor", "probe_off"})
ANSWER = 5.0
"""Ours: seconds for the answer to a command."""
WATCHDOG = 200.0
"""Ours: seconds for a measurement; the module itself gives up after 180."""
START_ORDER, STOP_ORDER = "start_blood_pressure", "stop_blood_pressure"

Steps = Generator[Step, Answer, None]


def decode(frames: Iterable[Frame]) -> Iterator[Decoded]:
    """Say what each frame means; a result told again after itself is no second one."""
    last = b""
    for frame in frames:
        try:
            yield from lepu.decode_frame(frame.data, last)
        except MalformedValue as no:
            yield Refusal(frame.data, no.code, no.detail)
        if lepu.report_of(frame.data) == lepu.RESULTS:
            last = lepu.told(frame.data)


def talk(settings: Settings) -> Dialogue:
    """Switch the stream, then follow the board; start and stop a measurement only when a person asks."""
    lepu.measurement(settings)
    board = _Board(settings)
    yield from board.begin()
    while True:
        answer = yield Listen(orders=True, within=board.limit)
        if answer is None:
            yield from board.give_up()
        elif isinstance(answer, Order):
            yield from board.obey(answer)
        elif isinstance(answer, Frame):
            yield from board.follow(answer)


@dataclass(slots=True)
class _Board:
    """Where the conversation stands; tells a fresh result from one that the module repeats."""

    settings: Settings
    index: int = 0
    channels: dict[str, Steady[str]] = field(default_factory=dict)
    left: deque[tuple[tuple[int, int], bytes]] = field(default_factory=deque)
    """Commands of an order that wait until the one before is accepted."""
    asked: tuple[int, int] | None = None
    """The command of an order that is not answered yet."""
    measuring: bool = False
    limit: float | None = None
    """Seconds from the last command after which an order is given up; None: nothing is ordered."""
    stopping: bool = False
    given_up: bool = False
    """What the module still says of a measurement given up is not another one."""
    heard: bytes = b""
    """The last blood-pressure frame of this measurement."""
    last: bytes = b""
    """The last result heard, without the mark of its repetitions; `kept` where it is durable."""
    kept: bool = False

    def begin(self) -> Steps:
        """Stop the stream; where a part of it is wanted, set the board's parameters and start it anew."""
        needed = int(self.settings["equal_packets"])
        for name, report in (("spo2", lepu.SPO2_VALUES), ("temperature", lepu.TEMPERATURES)):
            if self.settings[name]:
                self.channels |= {channel: Steady[str](needed) for channel in CHANNELS[report]}
        yield from self._command(DATA_OFF)
        if self.channels:
            (_, patient), *_ = lepu.measurement(self.settings)
            yield from self._command(SET_ALL, patient + lepu.UNUSED)
            yield from self._command(DATA_ON)

    def obey(self, order: Order) -> Steps:
        """Start or stop a measurement as a person asked."""
        if order.name == STOP_ORDER:
            yield self._send(CANCEL_NIBP)
            if self.measuring or self.limit is not None:
                self.left.clear()
                self.asked, self.limit, self.stopping = None, ANSWER, True
        elif order.name == START_ORDER and (self.measuring or self.limit is not None):
            yield Observe(Notice("nibp.already_measuring"))
        elif order.name == START_ORDER:
            yield from self._start(order)

    def follow(self, frame: Frame) -> Steps:
        """Act on one frame; curves, heartbeats and confirmations pass unseen."""
        report = lepu.report_of(frame.data)
        if report in CHANNELS:
            yield from self._settle(frame, self.channels.keys() & CHANNELS[report])
        elif report == lepu.RESULTS:
            yield from self._result(frame)
        elif report in {lepu.PRESSURES, lepu.ANSWERED}:
            yield from self._underway(frame)

    def give_up(self) -> Steps:
        """End an order that the module did not end in time; raise NoAnswer where it did not answer one."""
        if not self.stopping and self.asked in {None, START_NIBP}:
            yield self._send(CANCEL_NIBP)
        if self.asked is not None or not self.heard:
            raise NoAnswer("the blood-pressure module does not answer")
        yield from self._end("stopped_by_host" if self.stopping else "timed_out")

    def _start(self, order: Order) -> Steps:
        try:
            self.left = deque(lepu.measurement({**self.settings, **order.arguments}))
        except ConfigError as wrong:
            yield Observe(Notice(wrong.code, {"reason": wrong.detail}, fault=True))
            return
        self.limit, self.heard, self.stopping, self.given_up = ANSWER, b"", False, False
        yield from self._next()

    def _next(self) -> Steps:
        self.asked, content = self.left.popleft()
        yield self._send(self.asked, content)

    def _underway(self, frame: Frame) -> Steps:
        if isinstance(said := next(iter(decode([frame]))), Progress):
            yield from self._pressure(said, frame)
            return
        yield from pass_on([said])
        if isinstance(said, Notice):
            yield from self._answered(*lepu.answer_of(frame.data), frame)

    def _pressure(self, said: Progress, frame: Frame) -> Steps:
        self.given_up = self.given_up and said.underway
        self.measuring = self.measuring or (said.underway and not self.given_up and self.limit is None)
        if self.measuring:
            self.heard = frame.data
            yield Observe(replace(said, underway=True))

    def _answered(self, number: int, letter: str, frame: Frame) -> Steps:
        if self.limit is not None:
            self.heard = frame.data
        if self.asked == (lepu.NIBP, number):
            if letter in "OK" and self.left:
                yield from self._next()
            elif letter in "OK":
                self.asked, self.measuring, self.limit = None, True, WATCHDOG
                yield Observe(Progress(Kind.BLOOD_PRESSURE, {}, "measuring"))
            else:
                self.left.clear()
                self.asked = self.limit = None
        elif (letter == "A" and self.stopping) or (letter in "SR" and self.measuring):
            yield from self._end("stopped_by_host" if self.stopping else "no_result")

    def _result(self, frame: Frame) -> Steps:
        told = lepu.told(frame.data)
        if lepu.repeated(frame.data) and told == self.last:
            if self.kept:
                yield self._send(TAKEN, bytes(2))
            return
        if not self.measuring:
            self.last, self.kept = told, False
            return
        if isinstance(said := next(iter(decode([frame]))), Refusal):
            yield Observe(refused(said))
            return
        self.heard = frame.data
        yield from self._end("no_result", said if isinstance(said, Reading) else None)
        self.last, self.kept, self.given_up = told, True, False
        yield self._send(TAKEN, bytes(2))

    def _end(self, reason: str, reading: Reading | None = None) -> Steps:
        """Report the last word on a measurement and be ready for the next."""
        self.measuring, self.limit, self.stopping, self.given_up = False, None, False, True
        yield Report(reading or Reading(Kind.BLOOD_PRESSURE, {}, (self.heard,), failed=reason))

    def _settle(self, frame: Frame, wanted: Set[str]) -> Steps:
        """Report a value once it has stood still, and again only after the sensor was off."""
        worn, gone = set(), False
        for said in decode([frame]) if wanted else ():
            if not isinstance(said, Reading):
                gone |= isinstance(said, Progress) and said.state in GONE
                yield from pass_on([said])
            elif (channel := said.context.get("channel", "SpO2")) in wanted:
                worn.add(channel)
                value = said.values.get(Measure.SPO2) or said.values[Measure.BODY_TEMPERATURE]
                if evidence := self.channels[channel].see(str(value), frame.data):
                    yield Report(replace(said, evidence=evidence))
                elif not self.channels[channel].taken:
                    yield Observe(Progress(said.kind, said.values, "settling"))
        for channel in wanted - worn:
            self.channels[channel].release() if gone else self.channels[channel].unsettle()

    def _command(self, what: tuple[int, int], content: bytes = b"") -> Steps:
        """Send a command and wait for the board's confirmation; raise NoAnswer where it does not come."""
        yield self._send(what, content)
        while isinstance(answer := (yield Listen(within=ANSWER)), Frame):
            if lepu.confirms(answer.data, what):
                return
        raise NoAnswer("the board does not confirm")

    def _send(self, what: tuple[int, int], content: bytes = b"") -> Send:
        frame = lepu.command(self.index, what, content)
        self.index = (self.index + 1) % 256
        return Send(frame)


DRIVER = Driver(
    name="lepu_vx",
    title="Lepu VX parameter board",
    models=("Lepu VX",),
    kinds=(Kind.BLOOD_PRESSURE, Kind.OXIMETRY, Kind.TEMPERATURE),
    link=Serial(baudrate=460800),
    framer=lepu.framer,
    decode=decode,
    talk=talk,
    grade="B",
    provenance="captured",
    sources="serial/lepu_vx.md: kimlinzd/VX_DATA with a capture of 8 241 frames, none of blood pressure",
    not_known=(
        "a captured blood-pressure frame (those here are constructed)",
        "whether cuff pressures are sent without being asked for, and blood pressure while the stream is off",
        "the unit of the perfusion, the scale of the reliability, the byte order of the ECG's heart rate",
        "what a heartbeat holds, and whether the board wants ours",
        "when a streamed SpO2 or temperature has settled (equal_packets is ours)",
    ),
    orders=(START_ORDER, STOP_ORDER),
    settings={
        "patient": "adult",
        "first_pressure": 0,
        "spo2": False,
        "temperature": False,
        "equal_packets": 8,
    },
)
