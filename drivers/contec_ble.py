"""Contec arm monitors of the 08 family (CONTEC08A, 08C, 08AW) over Bluetooth LE.

Service FF12: the monitor tells messages on FF02 and is asked on FF01. At each contact it is asked how many
records it has and then for them, ten at a time. The known app first sets the clock and ends with a message
that may delete what was read: here the clock is set only when a person asks, and that end is never sent, so
records are told again and known by their time and values. The older commands of the Bluetooth serial port
are those of `drivers/contec08a.py`. The messages are in `protocol/contec_ble.py`.
"""

from collections.abc import Generator, Sequence
from datetime import datetime

from drivers.catalogue import Decoded, Driver, Gatt, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Known, Listen, Observe, Order, Settings, Step, Subscribe, Write
from drivers.push import pass_on
from protocol import contec_ble
from protocol.contec_ble import COUNTS, RECORD
from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.readings import Kind, Notice, Reading

NOTIFY, WRITE = "FF02", "FF01"
ANSWER = 3.0
"""Ours: seconds for an answer, and for each further record."""
IDLE = 10.0
"""Ours: seconds in which an order is still taken after the memory was read."""
MOST_FRAMES = 16
"""Ours: messages that may come between a question and its answer."""

decode = frame_by_frame(contec_ble.decode_message)

Part = Generator[Step, Answer, None]


def talk(settings: Settings) -> Dialogue:
    """Read the memory, then do what a person orders."""
    if (yield Subscribe(NOTIFY)) is not True:
        raise NoAnswer("no characteristic FF02")
    if settings["download"]:
        yield from _read_records()
    while (answer := (yield Listen(timeout=IDLE, orders=True))) is not None:
        if isinstance(answer, Frame):
            yield from _keep(list(decode([answer])))
        elif isinstance(answer, Order) and answer.name == "set_clock":
            yield from _set_clock(answer.arguments.get("time", ""))
        else:
            yield from _read_records()


def _read_records() -> Part:
    """Read all records and pass on the new ones, oldest first."""
    yield Write(WRITE, contec_ble.ask_counts())
    header = yield from _next(COUNTS, Listen(within=ANSWER))
    if header is None:
        raise NoAnswer("the monitor does not tell its memory")
    yield from pass_on(decode([header]))
    left = contec_ble.counts(header.data)[0]
    said: list[Decoded] = []
    for block in range(min(-(-left // contec_ble.BLOCK), contec_ble.MOST_BLOCKS)):
        yield Write(WRITE, contec_ble.ask_block(block))
        for _ in range(min(left, contec_ble.BLOCK)):
            record = yield from _next(RECORD, Listen(timeout=ANSWER))
            if record is None:
                yield Observe(Notice("contec_ble.records_incomplete", {"missing": str(left)}, fault=True))
                return (yield from _keep(said))
            said += decode([record])
            left = 0 if contec_ble.is_last(record.data) else left - 1
            if not left:
                break
        if not left:
            break
    return (yield from _keep(said))


def _keep(said: Sequence[Decoded]) -> Part:
    """Pass on what the journal does not hold, by time: no source tells in which order records come."""
    new: list[Decoded] = []
    for item in said:
        known = isinstance(item, Reading) and item.record and (yield Known(item.record)) is True
        if not known:
            new.append(item)
    new.sort(key=lambda item: str(item.device_time) if isinstance(item, Reading) else "~")
    yield from pass_on(new)


def _set_clock(stated: str) -> Part:
    try:
        command = contec_ble.set_clock(datetime.strptime(stated, "%Y-%m-%dT%H:%M:%S"))  # noqa: DTZ007 - its own
    except ValueError:
        yield Observe(Notice("contec08a.clock_refused", {"time": stated}, fault=True))
        return
    yield Write(WRITE, command)
    answer = yield from _next(contec_ble.CLOCK_SET, Listen(within=ANSWER))
    taken = answer is not None and contec_ble.clock_taken(answer.data)
    code = "contec08a.clock_set" if taken else "contec08a.clock_refused"
    yield Observe(Notice(code, {"time": stated}, fault=not taken))


def _next(head: int, listen: Listen) -> Generator[Step, Answer, Frame | None]:
    """Return the next message with this head, all before it passed on; None if it does not come."""
    for _ in range(MOST_FRAMES):
        answer = yield listen
        if not isinstance(answer, Frame):
            return None
        if answer.data[0] == head:
            return answer
        yield from pass_on(decode([answer]))
    return None


DRIVER = Driver(
    name="contec_ble",
    title="Contec 08A blood-pressure monitor (Bluetooth LE)",
    models=("CONTEC08A", "CONTEC08C", "CONTEC08AW"),
    kinds=(Kind.BLOOD_PRESSURE,),
    link=Gatt((NOTIFY, WRITE), default=NOTIFY, names=("CONTEC08",)),
    framer=contec_ble.Framer,
    decode=decode,
    talk=talk,
    grade="B",
    provenance="constructed",
    sources="ble/contec.md: a vendor's app; no capture of a monitor was seen",
    not_known=(
        "whether the monitor answers without the clock setting that the known app always sends first",
        "whether the end of the transfer (7E, 7F) deletes records: it is never sent",
        "whether counts and records end with the check of the other answers: it is not asked for",
        "in which order records come, and whether all or only new ones are told",
        "how the answer with the monitor's clock (F6) is laid out",
        "which user a record belongs to",
    ),
    orders=("read_records", "set_clock"),
    settings={"download": True},
)
