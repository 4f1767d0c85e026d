"""Sinocare (三诺) Bluetooth glucose meters: WL-1, An Wen+ (安稳+), Jin Wen+ (金稳+), UG-11 and relatives.

Service FFB0: the meter tells frames on FFB1 and is asked on FFB2; a frame may come in two notifications, 20
bytes and then the checksum. `BDE_WEIXIN_TTM` is also other makers' name, and FFB0 a scale's service: only a
whole frame of this protocol says that it is this meter.
The meter is asked in its own machine code for its clock (07, as on the cable) and its memory (05). Nothing
erases it, and its clock is set only when a person asks. The frames are in `protocol/sinocare.py` and
`protocol/sinocare_ble.py`.
"""

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime

from drivers.catalogue import Driver, Gatt, Refusal, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Known, Listen, Observe, Order, Settings, Step, Subscribe, Write
from drivers.push import pass_on
from protocol import sinocare, sinocare_ble
from protocol.errors import ConfigError, NoAnswer
from protocol.framing import Frame
from protocol.readings import Kind, Measure, Notice, Reading
from protocol.sinocare import POWER_OFF, READ_IDENTITY, READ_RECORDS, RECORDS, clock_body, command

NOTIFY, WRITE = "FFB1", "FFB2"
SERIALS = ("SN-1G", "SN-2L", "SN-3Q", "SN-4A", "SN-7T")
NAMES = ("BDE_WEIXIN_TTM", "AW+AIR", "JW+AIR", "JZ+Air", "Sinocare", "UG11", "SLX120", "TMX2", *SERIALS)
FIRST_WORD = 3.0
"""Ours: seconds for the meter to speak first; then it is asked in the configured code."""
ANSWER = 3.0
"""Ours: seconds for an answer and for each further record; no source tells how a memory ends."""
IDLE = 120.0
"""Ours: seconds without a word after which the link is given up; a test takes less."""
MOST_FRAMES = 1024
"""Ours: more than a memory holds and what is said in between."""

decode = frame_by_frame(sinocare_ble.decode_frame)


def talk(settings: Settings) -> Dialogue:
    """Learn who is there, read clock and memory, then pass on each result as it is measured."""
    meter = _Meter(_code(str(settings["machine_code"])))
    if (yield Subscribe(NOTIFY)) is not True:
        raise NoAnswer("no characteristic FFB1")
    first = yield Listen(timeout=FIRST_WORD)
    if isinstance(first, Frame):
        yield from meter.take(first)
    yield from meter.introduce(download=bool(settings["download"]))
    while meter.awake and (answer := (yield Listen(timeout=IDLE, orders=True))) is not None:
        if isinstance(answer, Frame):
            yield from meter.take(answer)
        elif isinstance(answer, Order):
            yield from meter.obey(answer)


def _code(stated: str) -> bytes:
    try:
        code = bytes.fromhex(stated)
    except ValueError:
        code = b""
    if len(code) != 2:
        raise ConfigError(f"machine_code {stated!r}", code="sinocare_ble.settings")
    return code


@dataclass(slots=True)
class _Meter:
    """The questions put to one meter; each passes on all that is said meanwhile."""

    code: bytes
    awake: bool = True
    heard: bool = False

    def take(self, frame: Frame) -> Generator[Step, Answer, bool]:
        """Pass on what a frame says and the journal does not know; return whether it was understood."""
        said = list(decode([frame]))
        understood = not all(isinstance(item, Refusal) for item in said)
        if understood:
            self.code, self.heard = sinocare_ble.machine(frame.data), True
        self.awake = sinocare_ble.number(frame.data) != POWER_OFF
        for item in said:
            if isinstance(item, Reading) and item.record is not None and (yield Known(item.record)) is True:
                continue
            yield from pass_on([item])
        return understood

    def introduce(self, *, download: bool) -> Generator[Step, Answer, None]:
        """Read clock and, if wanted, the memory; raise NoAnswer where nobody says a word."""
        yield from self._ask(READ_IDENTITY, {sinocare.IDENTITY})
        if download and self.awake:
            yield from self.read_records()
        if not self.heard:
            raise NoAnswer("the meter says nothing that is understood")

    def read_records(self) -> Generator[Step, Answer, None]:
        """Read the memory until the meter has nothing more to say of it."""
        told = {sinocare_ble.HISTORY, RECORDS}
        more = yield from self._ask(READ_RECORDS, told)
        for _ in range(MOST_FRAMES):
            if not (more and self.awake):
                return
            more = yield from self._next(told, Listen(timeout=ANSWER))

    def obey(self, order: Order) -> Generator[Step, Answer, None]:
        """Do what a person asked; its clock is read again after it was set."""
        if order.name == "read_records":
            yield from self.read_records()
            return
        stated = order.arguments.get("time", "")
        try:
            moment = datetime.strptime(stated, "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007 - the meter's own time
            body = clock_body(moment, seconds=False)
        except ValueError:
            yield Observe(Notice("sinocare_sn.clock_refused", {"time": stated}, fault=True))
            return
        yield from self._ask(body, {sinocare.SET_CLOCK})
        yield from self._ask(READ_IDENTITY, {sinocare.IDENTITY})

    def _ask(self, body: bytes, wanted: set[int]) -> Generator[Step, Answer, bool]:
        yield Write(WRITE, command(body, self.code))
        return (yield from self._next(wanted, Listen(within=ANSWER)))

    def _next(self, wanted: set[int], listen: Listen) -> Generator[Step, Answer, bool]:
        """Return whether one of the *wanted* came and was understood; all before it is passed on."""
        for _ in range(MOST_FRAMES):
            answer = yield listen
            if not isinstance(answer, Frame):
                return False
            understood = yield from self.take(answer)
            if not self.awake or (understood and sinocare_ble.number(answer.data) in wanted):
                return self.awake
        return False


DRIVER = Driver(
    name="sinocare_ble",
    title="Sinocare Bluetooth glucose meter",
    models=("WL-1", "安稳+ Air", "安稳+ Pro", "金稳+ Air", "金准+ Air", "UG-11"),
    kinds=(Kind.GLUCOSE,),
    link=Gatt((NOTIFY, WRITE), default=NOTIFY, names=NAMES),
    framer=sinocare.framer,
    decode=decode,
    talk=talk,
    grade="A",
    provenance="document",
    sources="ble/sinocare.md: vendor SDK and demo, one captured notification, the cable protocol's frames",
    not_known=(
        "which byte of an An Wen+ result is the unit (18 or 19): refused unless both say mmol/L",
        "whether the clock of a Bluetooth meter is told when asked with 07 as on the cable",
        "how the memory ends (three seconds of silence are taken for the end)",
        "where the time of an EA or KA meter stands, and its machine codes: its results are refused",
        "the WeChat envelope (FE 01) of models with service FEE7",
        "models of machine 2000 and 2002",
        "what sample type and correction code mean",
    ),
    orders=("read_records", "set_clock"),
    settings={"download": True, "machine_code": "0002"},
    machine_range={Measure.GLUCOSE: (sinocare.LOW, sinocare.HIGH)},
)
