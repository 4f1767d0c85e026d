"""Bioland (爱奥乐) glucose meters (G-500) and blood-pressure monitors, over Bluetooth LE; experimental.

Service 1000, as BeneCheck meters have: the device tells frames on 1002 and is asked on 1001. What it tells
by itself is passed on. Every question carries a time, which the device may take for its clock: so its
memory is read only when a person orders it and states the time. `device` says what it is; left at `auto`, a
glucose result is told by its length and a blood pressure refused. The frames are in `protocol/bioland.py`.
"""

from collections.abc import Generator
from dataclasses import replace
from datetime import datetime
from functools import partial

from drivers.carried import fresh
from drivers.catalogue import Decode, Driver, Gatt, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Known, Listen, Observe, Order, Settings, Step, Subscribe, Write
from drivers.push import pass_on
from protocol import bioland
from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.readings import Kind, Notice, Reading

NOTIFY, WRITE = "1002", "1001"
DEVICES = ("auto", "bgm", "bpm")
ANSWER, TRIES = 1.0, 20
"""Seconds for an answer, and how often a question is put (the library)."""
IDLE = 120.0
"""Ours: seconds without a word or an order after which the link is given up."""
MOST_RECORDS = 600
"""Ours: more than a meter holds."""

Part = Generator[Step, Answer, None]


def decoder(device: str) -> Decode:
    """Return what says what the frames of a *device* mean."""
    return frame_by_frame(partial(bioland.decode_frame, device=device))


def talk(settings: Settings) -> Dialogue:
    """Pass on what the device tells; read its memory when a person asks."""
    return fresh(_conversation(decoder(str(settings["device"]))))


def _conversation(decode: Decode) -> Dialogue:
    if (yield Subscribe(NOTIFY)) is not True:
        raise NoAnswer("no characteristic 1002")
    while (answer := (yield Listen(timeout=IDLE, orders=True))) is not None:
        if isinstance(answer, Frame):
            yield from _keep(answer, decode)
        elif isinstance(answer, Order):
            yield from _read_records(answer.arguments.get("time", ""), decode)


def _keep(frame: Frame, decode: Decode) -> Part:
    """Pass on what the journal does not hold."""
    for said in decode([frame]):
        known = isinstance(said, Reading) and said.record and (yield Known(said.record)) is True
        if not known:
            yield from pass_on([said])


def _read_records(stated: str, decode: Decode) -> Part:
    """Ask for information, then for one result after the other until the device says that it has no more."""
    try:
        moment = datetime.strptime(stated, "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007 - as a person states it
        questions = {number: bioland.command(number, moment) for number in (bioland.INFO, bioland.RESULT)}
    except ValueError:
        yield Observe(Notice("bioland.time", {"time": stated}, fault=True))
        return
    yield from _ask(questions[bioland.INFO], decode)
    for _ in range(MOST_RECORDS):
        if (yield from _ask(questions[bioland.RESULT], decode)) in bioland.ENDS:
            return


def _ask(question: bytes, decode: Decode) -> Generator[Step, Answer, int]:
    """Put a question until something is said; pass that on and return its category."""
    for _ in range(TRIES):
        yield Write(WRITE, question)
        answer = yield Listen(within=ANSWER)
        if isinstance(answer, Frame):
            yield from _keep(answer, decode)
            return answer.data[2]
    raise NoAnswer("a question was never answered")


def _shaped(driver: Driver, settings: Settings) -> Driver:
    """Return the driver of the stated device. Raises ValueError where there is none such."""
    device = str(settings["device"])
    if device not in DEVICES:
        raise ValueError(f'device: "{device}" is none of {", ".join(DEVICES)}')
    return replace(driver, decode=decoder(device))


DRIVER = Driver(
    name="bioland",
    title="Bioland glucose meter or blood-pressure monitor",
    models=("Bioland G-500", "Bioland BPM"),
    kinds=(Kind.GLUCOSE, Kind.BLOOD_PRESSURE),
    link=Gatt((NOTIFY, WRITE), default=NOTIFY, names=("Bioland-",)),
    framer=bioland.framer,
    decode=decoder("auto"),
    talk=talk,
    grade="C",
    provenance="constructed",
    sources="ble/bioland.md: a library with test frames; no capture of a result was seen",
    not_known=(
        "where the values of a result stand: two apps agree for glucose (mg/dL), one tells blood pressure",
        "whether a question sets the device's clock to the time it carries",
        "the frames of 11 bytes of one variant (5A 0B 05) and results of 14 bytes of a glucose meter",
        "how HI, LO, a control solution or a failed measurement is told",
    ),
    orders=("read_records",),
    settings={"device": "auto"},
    shaped=_shaped,
)
