"""Microlife home blood-pressure monitors with a USB socket: BP3GX1-5X and relatives.

Cable: USB HID 04B4:5500, reports of 8 bytes. Linux takes these ids for Cypress's HID-to-serial bridge: its
HID core leaves them alone and its driver cypress_m8 makes a serial port of them, which carries the counted
bytes alone; then `cable = "port"` and that port. Only with the boot option
usbhid.quirks=0x04b4:0x5500:0x40000000 it should be the HID device of the default. Neither was tried.
The monitor is woken with zeros, then tells its clock and its whole memory. It measures on a person's order;
such a result comes without any check, so only what follows an order is taken for one. Its clock and its
owner's name are never set here: the two known programs disagree how. The messages: `protocol/microlife.py`.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

from drivers.catalogue import Driver, Hid, Serial, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Listen, Observe, Order, Report, Send, Settings, Step
from drivers.meters import Told, newest_first
from drivers.push import pass_on
from protocol import microlife
from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.microlife import LINK, READ_ALL, READ_CLOCK, START, STOP, WAKE, command, in_report
from protocol.readings import Kind, Notice, Progress, Reading

PAUSE = 0.5
TRIES = 15
"""Seconds between two commands, and how often an unusable answer is asked for again, as the sheet states."""
ANSWER = 2.5
WHOLE_MEMORY = 15.0
MEMORY_TRIES = 3
"""Ours: seconds for an answer, for all of a full memory, and how often that is asked for."""
LIMIT = 180.0
"""Ours: seconds after which an ordered measurement is given up."""
LOOK_AGAIN = 60.0
"""Ours: seconds until a monitor that stays plugged in is looked at again."""
USB = ((0x04B4, 0x5500),)
START_ORDER, STOP_ORDER = "start_blood_pressure", "stop_blood_pressure"

decode = frame_by_frame(microlife.decode_message)

Part = Generator[Step, Answer, None]


def talk(settings: Settings) -> Dialogue:
    """Read clock and memory, look again every minute, and measure when a person asks."""
    monitor = _Monitor(bytes if settings["cable"] == "port" else in_report)
    told = Told()
    while True:
        yield from monitor.say(WAKE)
        clock = yield from monitor.ask(READ_CLOCK, microlife.is_clock, ANSWER, TRIES)
        if clock is None:
            raise NoAnswer("the monitor does not tell its clock")
        yield from pass_on(decode([clock]))
        if settings["download"]:
            yield from monitor.read(told)
        while (answer := (yield Listen(timeout=LOOK_AGAIN, orders=True))) is not None:
            if isinstance(answer, Order) and answer.name == START_ORDER:
                yield from monitor.measure()
            elif isinstance(answer, Order) and answer.name == STOP_ORDER:
                yield from monitor.say(command(STOP))
            elif isinstance(answer, Order):
                break


@dataclass(frozen=True, slots=True)
class _Monitor:
    """One monitor, by the way its messages are packed on its cable."""

    packed: Callable[[bytes], bytes]

    def say(self, message: bytes) -> Generator[Step, Answer, bytes]:
        """Send *message*, leave the monitor the time it wants and return the last that it said meanwhile."""
        heard = b""
        yield Send(self.packed(message))
        while isinstance(answer := (yield Listen(within=PAUSE)), Frame):
            heard = answer.data
        return heard

    def ask(
        self, number: int, right: Callable[[bytes], bool], seconds: float, tries: int
    ) -> Generator[Step, Answer, Frame | None]:
        """Return the answer to a question, asked *tries* times at most."""
        for _ in range(tries):
            yield Send(self.packed(command(number)))
            while isinstance(answer := (yield Listen(within=seconds)), Frame):
                if right(answer.data):
                    return answer
        return None

    def read(self, told: Told) -> Part:
        """Pass on what is new in the memory."""
        memory = yield from self.ask(READ_ALL, microlife.is_memory, WHOLE_MEMORY, MEMORY_TRIES)
        if memory is None:
            yield Observe(Notice("microlife_hid.records_incomplete", fault=True))
        else:
            yield from told.news(newest_first(decode([memory])))

    def measure(self) -> Part:
        """Start, and report what comes of it; a stop, or nothing for too long, ends it without a value."""
        heard, reason = b"", "timed_out"
        for message in (WAKE, command(LINK)):
            heard = (yield from self.say(message)) or heard
        yield Send(self.packed(command(START)))
        yield Observe(Progress(Kind.BLOOD_PRESSURE, {}, "measuring"))
        while (answer := (yield Listen(within=LIMIT, orders=True))) is not None:
            if isinstance(answer, Frame):
                heard = answer.data
                if microlife.is_live(heard) and (yield from _told(answer)):
                    return
            elif isinstance(answer, Order) and answer.name == STOP_ORDER:
                reason = "stopped_by_host"
                break
            else:
                yield Observe(Notice("nibp.already_measuring"))
        yield Send(self.packed(command(STOP)))
        if not heard:
            raise NoAnswer("no word since the order to measure")
        yield Report(Reading(Kind.BLOOD_PRESSURE, {}, (heard,), failed=reason))


def _told(frame: Frame) -> Generator[Step, Answer, bool]:
    """Pass on what a frame says; return whether it is the measurement's outcome."""
    said = list(decode([frame]))
    yield from pass_on(said)
    return any(isinstance(item, Reading) for item in said)


def _shaped(driver: Driver, settings: Settings) -> Driver:
    """Return the driver for a cable. Raises ValueError for one that there is not."""
    if settings["cable"] not in {"hid", "port"}:
        raise ValueError(f"cable {settings['cable']!r}: hid or port")
    if settings["cable"] == "hid":
        return driver
    return replace(driver, link=Serial(usb=USB), framer=microlife.Bursts)


DRIVER = Driver(
    name="microlife_hid",
    title="Microlife blood-pressure monitor with USB",
    models=("Microlife BP3GX1-5X",),
    kinds=(Kind.BLOOD_PRESSURE,),
    link=Hid(microlife.REPORT, USB),
    framer=microlife.framer,
    decode=decode,
    talk=talk,
    grade="A",
    provenance="constructed",
    sources="serial/microlife_hid.md: joergmlpts/blood-pressure-monitor; FEMET_ServicePlugin (live)",
    not_known=(
        "a whole capture: none exists; whether Linux's cypress_m8 and this monitor understand each other",
        "the two bytes before a live result, and what a monitor says while it measures",
        "whether a measurement started from here is also kept in the memory (then told again, as stored)",
        "the order of the records, six characters of each and four of the head",
        "how the clock is set: the two known programs do it differently, so it cannot be set here",
        "what the error numbers mean",
    ),
    orders=(START_ORDER, STOP_ORDER, "read_records"),
    settings={"cable": "hid", "download": True},
    shaped=_shaped,
    redact=microlife.redact,
)
