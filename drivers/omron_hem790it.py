"""Omron home monitors with a USB socket: HEM-790IT, HEM-7080IT (M10-IT).

Cable: USB HID 0590:0028, reports of 8 bytes (Omron's HJ-720IT pedometer carries the same ids). A session is
opened by a feature report and zeros until the monitor says OK, and closed by END, at which it goes off; the
captured host opened the next one at once, so a monitor that stays plugged in is looked at again and again.
Who it is, is asked in a session of its own, as that host did. The clock can be neither read nor set.
Weekly averages are understood and never asked for: they are no measurements. Never tried on hardware.
The messages are in `protocol/omron_usb.py`.
"""

from collections.abc import Generator
from dataclasses import replace

from drivers.catalogue import Decoded, Driver, Hid, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Feature, Listen, Observe, Send, Settings, Step
from drivers.memory import Fetched, download
from drivers.push import pass_on
from protocol import omron_usb
from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.omron_usb import COUNT, OFF, OK, RECORD, REFUSED, SERIAL, VERSION
from protocol.readings import Kind, Notice, Reading

BANKS = (0, 1)
"""The two users' memories."""
ANSWER = 1.0
TRIES = 8
LOOK_AGAIN = 60.0
"""Ours: seconds a monitor has for an answer, how often it is asked, seconds until it is looked at again."""

decode = frame_by_frame(omron_usb.decode_message)

Asked = Generator[Step, Answer, Frame | None]
"""A question that ends with its answer, or None where none came."""


def talk(_settings: Settings) -> Dialogue:
    """Ask who is there, read both memories, and look again every minute."""
    yield from _open(omron_usb.DEVICE_INFO)
    for question, length in ((omron_usb.ASK_VERSION, VERSION), (omron_usb.ASK_SERIAL, SERIAL)):
        if (answer := (yield from _ask(question, length))) is not None:
            yield from pass_on(decode([answer]))
    while True:
        yield from _open(omron_usb.SINGLE_READINGS)
        for bank in BANKS:
            if not (yield from _read(bank)):
                yield Observe(
                    Notice("omron_hem790it.records_incomplete", {"user": str(bank + 1)}, fault=True)
                )
        yield Send(omron_usb.in_reports(omron_usb.GO_OFF))
        yield from _until(OFF)
        while isinstance((yield Listen(timeout=LOOK_AGAIN, orders=True)), Frame):
            pass  # what comes between two sessions answers no question


def _open(mode: bytes) -> Generator[Step, Answer, None]:
    """Open a session; raise NoAnswer where nobody says OK."""
    yield Feature(mode)
    for _ in range(TRIES):
        yield Send(omron_usb.in_reports(omron_usb.CLEAR))
        if (yield from _until(OK)) is not None:
            return
    raise NoAnswer("the monitor does not say OK")


def _until(wanted: bytes) -> Asked:
    """Return the message *wanted*, leaving out what else is said until then."""
    while isinstance(answer := (yield Listen(within=ANSWER)), Frame):
        if omron_usb.message(answer.data).startswith(wanted):
            return answer
    return None


def _ask(question: bytes, length: int) -> Asked:
    """Return the answer of so many bytes; at `NO`, another answer or none the question is put again."""
    for _ in range(TRIES):
        yield Send(omron_usb.in_reports(question))
        while isinstance(answer := (yield Listen(within=ANSWER)), Frame):
            said = omron_usb.message(answer.data)
            if said.startswith(OK) and len(said) == length:
                return answer
            if said == REFUSED:
                break
    return None


def _read(bank: int) -> Generator[Step, Answer, bool]:
    """Pass on what is new in one user's memory; return whether all of it could be read."""
    answer = yield from _ask(omron_usb.ask_count(bank), COUNT)
    if answer is None:
        return False

    def fetch(index: int) -> Fetched:
        found = yield from _ask(omron_usb.ask_reading(bank, index), RECORD)
        return None if found is None else [_of_user(bank, item) for item in decode([found])]

    return (yield from download(fetch, omron_usb.readings(answer.data)))


def _of_user(bank: int, item: Decoded) -> Decoded:
    if not isinstance(item, Reading):
        return item
    return replace(item, context={**item.context, "user": str(bank + 1)})


DRIVER = Driver(
    name="omron_hem790it",
    title="Omron home blood-pressure monitor with USB",
    models=("Omron HEM-790IT", "Omron HEM-7080IT (M10-IT)"),
    kinds=(Kind.BLOOD_PRESSURE,),
    link=Hid(omron_usb.REPORT, ((0x0590, 0x0028),)),
    framer=omron_usb.framer,
    decode=decode,
    talk=talk,
    grade="A",
    provenance="captured",
    sources="serial/omron_hem790it.md: openyou/libomron's notes, code and captured logs beside a CSV",
    not_known=(
        "what the feature report at the beginning means (notes 01 01, 74 BC, 10 74; a capture 31 2C, A0 12)",
        "how many zeros the monitor wants before it says OK (code: 12, a capture: 30)",
        "whether the answer to SRL00 is a serial number (captured: 06 and zeros)",
        "the bytes around the values of a reading (movement, irregular heartbeat)",
        "whether the sister model HEM-7301-IT speaks the same",
        "how the clock is read or set",
    ),
    orders=("read_records",),
)
