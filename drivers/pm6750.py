"""BerryMed PM6750 board (blood pressure, SpO2, temperature, ECG), built into other makers' machines.

Cable: RS-232 or USB (virtual port), 115200 8N1. The board is silent until outputs are switched on, and it
inflates a cuff when told `02 01`: that is sent on a person's order and at no other time.
A result counts once, and only after the board was heard measuring: it may repeat its last packet for ever.
The packets themselves are in `protocol/berry.py`.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace

from drivers.catalogue import Driver, Refusal, Serial, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Listen, Observe, Order, Report, Send, Settings, Step
from drivers.push import refused
from protocol import berry
from protocol.berry import (
    FAILED,
    FIRST_PRESSURE,
    NIBP,
    PATIENT_MODE,
    PRESSURE,
    SPO2,
    SPO2_OUTPUT,
    TEMPERATURE,
    TEMPERATURE_OUTPUT,
    UNDERWAY,
    command,
    cuff_state,
)
from protocol.errors import ConfigError, NoAnswer
from protocol.framing import Frame
from protocol.readings import Kind, Measure, Notice, Progress, Reading
from protocol.steady import Steady

OUTPUTS = (0x01, SPO2_OUTPUT, TEMPERATURE_OUTPUT, 0xFE, 0xFF)
CHANNELS = {SPO2: ("SpO2",), TEMPERATURE: ("T1", "T2")}
PATIENTS = {"adult": (1, 40, 300, 150), "child": (2, 40, 210, 100), "neonate": (3, 40, 140, 70)}
"""Mode number, lowest, highest and the documented default first pressure in mmHg."""

WATCHDOG = 90.0
FIRST_PACKET = 10.0
"""Ours: seconds an ordered board may say nothing at all before a person is told."""
STOP_ANSWER = 5.0
"""Ours: seconds a board has to confirm a stop before the measurement is reported as stopped."""
START_ORDER, STOP_ORDER = "start_blood_pressure", "stop_blood_pressure"


decode = frame_by_frame(berry.decode_packet)


@dataclass(slots=True)
class _Cuff:
    """Where the blood-pressure part stands; tells a fresh result from the board repeating an old one."""

    state: int | None = None
    underway: bool = False
    heard: bytes = b""
    """The last packet of this measurement."""
    ordered_at: int | None = None
    """The state in which the order found the board."""
    limit: float | None = None
    """Seconds from the last command after which an ordered measurement is given up; None: none is ordered."""
    at_limit: str = "timed_out"
    given_up: bool = False
    """What the board still says of a measurement given up is not another one."""

    def begin(self) -> None:
        """A person ordered a measurement now."""
        self.heard, self.ordered_at, self.given_up = b"", self.state, False
        self.limit, self.at_limit = FIRST_PACKET, "timed_out"

    def ends(self, frame: bytes) -> bool:
        """Take note of a packet; return whether it is the last word on a measurement."""
        state = cuff_state(frame)
        if self.limit == FIRST_PACKET:
            self.limit = WATCHDOG
        self.state, self.heard = state, frame
        if state in UNDERWAY:
            self.underway = not self.given_up
            return False
        at_once = self.limit is not None and state in FAILED and state not in {2, self.ordered_at}
        last_word = self.underway or at_once
        self.underway = self.given_up = False
        return last_word


def talk(settings: Settings) -> Dialogue:
    """Switch the outputs, then follow the board; start and stop a measurement only when a person asks."""
    _inflation(settings, {})
    wanted = {SPO2_OUTPUT: bool(settings["spo2"]), TEMPERATURE_OUTPUT: bool(settings["temperature"])}
    for output in OUTPUTS:
        yield Send(command(output, wanted.get(output, False)))
    cuff = _Cuff()
    needed = int(settings["equal_packets"])
    channels = {name: Steady[str](needed) for names in CHANNELS.values() for name in names}
    while True:
        answer = yield Listen(orders=True, within=cuff.limit)
        if answer is None:
            yield from _give_up(cuff)
        elif isinstance(answer, Order):
            yield from _obey(answer, settings, cuff)
        elif isinstance(answer, Frame) and answer.data[3] == NIBP:
            yield from _follow(answer, cuff)
        elif isinstance(answer, Frame) and answer.data[3] in CHANNELS:
            yield from _settle(answer, channels)


def _inflation(settings: Settings, arguments: Mapping[str, str]) -> tuple[int, int]:
    """Return patient mode and first pressure in mmHg; raise ConfigError outside the documented limits."""
    patient = arguments.get("patient", str(settings["patient"]))
    stated = arguments.get("first_pressure", str(settings["first_pressure"]))
    if patient not in PATIENTS or not stated.isdecimal():
        raise ConfigError(f"patient {patient!r}, first_pressure {stated!r}", code="pm6750.inflation")
    mode, low, high, usual = PATIENTS[patient]
    pressure = int(stated) or usual
    if not low <= pressure <= high or pressure % 2:
        raise ConfigError(
            f"first_pressure {pressure}: even, {low} to {high} for {patient}", code="pm6750.inflation"
        )
    return mode, pressure


def _obey(order: Order, settings: Settings, cuff: _Cuff) -> Generator[Step, Answer, None]:
    if order.name == STOP_ORDER:
        yield Send(command(PRESSURE, 0))
        if cuff.limit is not None:
            cuff.limit, cuff.at_limit = STOP_ANSWER, "stopped_by_host"
    elif order.name == START_ORDER and (cuff.underway or cuff.limit is not None):
        yield Observe(Notice("nibp.already_measuring"))
    elif order.name == START_ORDER:
        yield from _start(order, settings, cuff)


def _start(order: Order, settings: Settings, cuff: _Cuff) -> Generator[Step, Answer, None]:
    try:
        mode, pressure = _inflation(settings, order.arguments)
    except ConfigError as wrong:
        yield Observe(Notice(wrong.code, {"reason": wrong.detail}, fault=True))
        return
    cuff.begin()
    yield Send(command(PATIENT_MODE, mode))
    yield Send(command(FIRST_PRESSURE, pressure // 2))
    yield Send(command(PRESSURE, 1))


def _follow(frame: Frame, cuff: _Cuff) -> Generator[Step, Answer, None]:
    """Show the cuff pressure; report the last word on a measurement, once."""
    said = next(iter(decode([frame])))
    if isinstance(said, Refusal):
        yield Observe(refused(said))
    elif isinstance(said, Progress):
        cuff.ends(frame.data)
        yield Observe(said)
    elif cuff.ends(frame.data):
        cuff.limit = None
        if not isinstance(said, Reading):
            said = _failed("no_result", frame.data)
        if said.failed not in {None, "stopped_by_host"}:
            yield Send(command(PRESSURE, 0))
        yield Report(said)


def _give_up(cuff: _Cuff) -> Generator[Step, Answer, None]:
    """Stop the board, which did not end the measurement in time; raise NoAnswer where it said nothing."""
    yield Send(command(PRESSURE, 0))
    if not cuff.heard:
        raise NoAnswer("no blood-pressure packet since the order")
    cuff.limit, cuff.underway, cuff.given_up = None, False, True
    yield Report(_failed(cuff.at_limit, cuff.heard))


def _failed(reason: str, frame: bytes) -> Reading:
    return Reading(Kind.BLOOD_PRESSURE, {}, (frame,), context=berry.mode_bits(frame), failed=reason)


def _settle(frame: Frame, channels: Mapping[str, Steady[str]]) -> Generator[Step, Answer, None]:
    """Report a value of a running output once it has stood still, and again only after the sensor was off."""
    worn = set()
    for said in decode([frame]):
        if isinstance(said, Reading):
            channel = said.context.get("channel", "SpO2")
            worn.add(channel)
            value = str(said.values.get(Measure.SPO2) or said.values.get(Measure.BODY_TEMPERATURE))
            if evidence := channels[channel].see(value, frame.data):
                yield Report(replace(said, evidence=evidence))
            else:
                yield Observe(Progress(said.kind, said.values, "settling"))
        elif not isinstance(said, Refusal):
            yield Observe(said)
    for channel in set(CHANNELS[frame.data[3]]) - worn:
        channels[channel].release()


DRIVER = Driver(
    name="pm6750",
    title="BerryMed PM6750 parameter board",
    models=("PM6750",),
    kinds=(Kind.BLOOD_PRESSURE, Kind.OXIMETRY, Kind.TEMPERATURE),
    link=Serial(baudrate=115200),
    framer=berry.framer,
    decode=decode,
    talk=talk,
    grade="A",
    provenance="constructed",
    sources="serial/pm6750.md: Abrunacci/berry_med, citing the vendor manual, and an independent client",
    not_known=(
        "a captured blood-pressure or temperature packet (those here are constructed)",
        "which number in the status byte is the adult mode",
        "whether error, movement and over-pressure can be followed by a second try (taken as final here)",
        "when a running SpO2 or temperature value has settled (equal_packets is ours)",
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
