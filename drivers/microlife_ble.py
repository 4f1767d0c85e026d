"""Microlife blood-pressure monitors with Bluetooth LE that do not speak the standard service (BP3GY1-2N).

Service FFF0, which others use too: the monitor tells frames on FFF1, in several notifications, and is asked
on FFF2. It has to be paired with the box first. It is asked for the memory of the user it is switched to
and told to disconnect. Names of persons, which it can hold, are never asked for; its clock is set only when
a person asks, and before the memory is read. The frames are in `protocol/microlife_ble.py`.
"""

from collections.abc import Generator
from datetime import datetime

from drivers.catalogue import Driver, Gatt, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Known, Listen, Observe, Order, Settings, Step, Subscribe, Write
from drivers.push import pass_on
from protocol import microlife_ble
from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.microlife_ble import DISCONNECT, READ_MEMORY, command, is_memory
from protocol.readings import Kind, Notice, Reading

NOTIFY, WRITE = "FFF1", "FFF2"
WAITING = 0.5
"""Ours: seconds in which an order that already waits is taken."""
ANSWER = 60.0
"""Seconds that known programs give the monitor to tell its memory."""

decode = frame_by_frame(microlife_ble.decode_frame)


def talk(_settings: Settings) -> Dialogue:
    """Set the clock if a person ordered that, read the memory, and say that this is all."""
    if (yield Subscribe(NOTIFY)) is not True:
        raise NoAnswer("no characteristic FFF1")
    while isinstance(answer := (yield Listen(timeout=WAITING, orders=True)), Order):
        yield from _set_clock(answer.arguments.get("time", ""))
    yield Write(WRITE, command(READ_MEMORY))
    while isinstance(answer := (yield Listen(within=ANSWER)), Frame):
        yield from _keep(answer)
        if is_memory(answer.data):
            yield Write(WRITE, command(DISCONNECT))
            return
    raise NoAnswer("the monitor does not tell its memory")


def _keep(frame: Frame) -> Generator[Step, Answer, None]:
    """Pass on what the journal does not hold."""
    for said in decode([frame]):
        known = isinstance(said, Reading) and said.record and (yield Known(said.record)) is True
        if not known:
            yield from pass_on([said])


def _set_clock(stated: str) -> Generator[Step, Answer, None]:
    try:
        moment = datetime.strptime(stated, "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007 - the monitor's own time
        content = microlife_ble.clock_content(moment)
    except ValueError:
        yield Observe(Notice("microlife_ble.clock_refused", {"time": stated}, fault=True))
        return
    yield Write(WRITE, command(content))
    answer = yield Listen(within=ANSWER)
    if not isinstance(answer, Frame):
        raise NoAnswer("the clock setting was not answered")
    yield from _keep(answer)


DRIVER = Driver(
    name="microlife_ble",
    title="Microlife blood-pressure monitor (Bluetooth LE)",
    models=("Microlife BP3GY1-2N",),
    kinds=(Kind.BLOOD_PRESSURE,),
    link=Gatt((NOTIFY, WRITE), default=NOTIFY, names=("BP3GY1",), pairing="just_works"),
    framer=microlife_ble.framer,
    decode=decode,
    talk=talk,
    grade="B",
    provenance="document",
    sources="ble/beurer_bp_variants.md: another program's tests; the program that they come from (bpm_bt.py)",
    not_known=(
        "a captured memory (those here are constructed)",
        "what the 38 bytes before the records say, and the last two of a record",
        "which user's records are told (the known program reads those of the user it is switched to)",
        "how an irregular pulse or a failed measurement is marked",
        "the monitor's clock: it can be set but not read",
    ),
    orders=("set_clock",),
)
