"""Sinocare (三诺) glucose meters of the "SN" protocol: Safe-Accu and relatives; sold on as Contec CMSSXT.

Cable: serial, or a Bluetooth SPP port (PIN 1234); no source states the cable's baud rate, 9600 is a guess.
The known apps set the meter's clock and erase its memory at every contact. This driver never erases, and
sets the clock only when a person asks; it reads the clock first, so that a wrong one can be seen.
A meter is mostly asleep: it is asked who it is when it first says something.
The frames themselves are in `protocol/sinocare.py`.
"""

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime

from drivers.catalogue import Driver, Refusal, Serial, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Listen, Observe, Order, Send, Settings, Step
from drivers.push import pass_on
from protocol import sinocare
from protocol.errors import ConfigError
from protocol.framing import Frame
from protocol.readings import Kind, Measure, Notice
from protocol.sinocare import (
    CONNECT,
    HIGH,
    LOW,
    OLD_IDENTITY,
    POWER_OFF,
    READ_IDENTITY,
    READ_RECORDS,
    RECORDS,
    clock_body,
    command,
)

HOST_CODES = {"0002": b"\x00\x02", "0004": b"\x00\x04"}
"""The device codes the known programs write into their commands: most 0002, one 0004."""
BETWEEN = 0.5
ANSWER = 2.0
"""Ours: seconds a meter has to answer, and for each further packet of its memory."""
MOST_FRAMES = 512
"""Ours: more than a memory's 255 packets and what is said in between; the end of a download in any case."""


decode = frame_by_frame(sinocare.decode_frame)

Told = Generator[Step, Answer, bool | None]
"""A part of the conversation that ends knowing whether the meter's clock has seconds; None: it is asleep."""


def talk(settings: Settings) -> Dialogue:
    """Ask who is there and for its memory, then pass on each result as it is measured."""
    if settings["host_code"] not in HOST_CODES:
        raise ConfigError(f"host_code {settings['host_code']!r}", code="sinocare_sn.settings")
    meter = _Meter(HOST_CODES[str(settings["host_code"])], download=bool(settings["download"]))
    seconds = yield from meter.introduce()
    while True:
        answer = yield Listen(orders=True)
        if isinstance(answer, Order):
            seconds = yield from meter.obey(answer)
        elif isinstance(answer, Frame):
            yield from pass_on(decode([answer]))
            number = answer.data[5]
            if number == POWER_OFF:
                seconds = None
            elif number == CONNECT or seconds is None:
                seconds = yield from meter.introduce()


@dataclass(frozen=True, slots=True)
class _Meter:
    """The questions put to one meter; each passes on all that is said meanwhile."""

    code: bytes
    download: bool

    def introduce(self) -> Told:
        """Read identity, clock and, if wanted, the memory."""
        seconds = yield from self.read_identity()
        if seconds is not None and self.download:
            yield from self.read_records()
        return seconds

    def obey(self, order: Order) -> Told:
        """Do what a person asked; the identity is read first, so that every order also reads the clock."""
        seconds = yield from self.read_identity()
        if seconds is None:
            yield Observe(Notice("sinocare_sn.asleep", {"order": order.name}, fault=True))
        elif order.name == "read_records":
            yield from self.read_records()
        elif order.name == "set_clock":
            yield from self.set_clock(order.arguments.get("time", ""), seconds=seconds)
        return seconds

    def read_identity(self) -> Told:
        """Ask for identity and clock."""
        answer = yield from self._ask(READ_IDENTITY)
        yield from _pause()
        return None if answer is None else answer.data[2] > OLD_IDENTITY

    def read_records(self) -> Generator[Step, Answer, None]:
        """Read the whole memory; a packet that is missing is read another time, as the same records."""
        packet = yield from self._ask(READ_RECORDS)
        for _ in range(MOST_FRAMES):
            if packet is None or packet.data[6] in {0, packet.data[7]}:
                break
            packet = yield from _next(RECORDS, Listen(timeout=ANSWER))
        else:
            packet = None
        if packet is None:
            yield Observe(Notice("sinocare_sn.records_incomplete", fault=True))
        yield from _pause()

    def set_clock(self, stated: str, *, seconds: bool) -> Generator[Step, Answer, None]:
        """Set the meter's clock to the moment a person stated, and read it again."""
        try:
            moment = datetime.strptime(stated, "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007 - the meter's own time
            body = clock_body(moment, seconds=seconds)
        except ValueError:
            yield Observe(Notice("sinocare_sn.clock_refused", {"time": stated}, fault=True))
            return
        yield Send(command(body, self.code))
        yield from _pause()
        yield from self.read_identity()

    def _ask(self, body: bytes) -> Generator[Step, Answer, Frame | None]:
        yield Send(command(body, self.code))
        return (yield from _next(body[0], Listen(within=ANSWER)))


def _next(number: int, listen: Listen) -> Generator[Step, Answer, Frame | None]:
    """Return the next good frame of command *number*, all before it passed on; None if none came."""
    for _ in range(MOST_FRAMES):
        answer = yield listen
        if not isinstance(answer, Frame):
            return None
        said = list(decode([answer]))
        yield from pass_on(said)
        if answer.data[5] == number and not all(isinstance(item, Refusal) for item in said):
            return answer
    return None


def _pause() -> Generator[Step, Answer, None]:
    """Leave the meter the time it wants between two commands, and lose nothing it says meanwhile."""
    while isinstance(answer := (yield Listen(within=BETWEEN)), Frame):
        yield from pass_on(decode([answer]))


DRIVER = Driver(
    name="sinocare_sn",
    title="Sinocare glucose meter (SN protocol)",
    models=("Sinocare Safe-Accu", "Contec CMSSXT"),
    kinds=(Kind.GLUCOSE,),
    link=Serial(),
    framer=sinocare.framer,
    decode=decode,
    talk=talk,
    grade="A",
    provenance="document",
    sources="serial/sinocare_sn.md: five implementations and a vendor example; ble/sinocare.md for HI and LO",
    not_known=(
        "the baud rate of the cable",
        "the error codes other than HI and LO (documented for the Bluetooth meters of the same frame)",
        "how HI and LO stand in the memory",
        "how the meter answers a clock setting (its clock is read again instead)",
        "what sample type and correction code mean",
    ),
    orders=("read_records", "read_clock", "set_clock"),
    settings={"download": True, "host_code": "0002"},
    machine_range={Measure.GLUCOSE: (LOW, HIGH)},
)
