"""Yonker blood-pressure monitors over Bluetooth LE.

The service cdeacd80… is also that of the maker's oximeters, and their messages begin with 81 too: only one
of 15 bytes is a blood pressure. The monitor is only listened to. While it measures it sends messages that
begin with 80, of which no number is read; a result is live only where these were heard before. Its clock is
said to be unreliable.
"""

from collections.abc import Iterator
from decimal import Decimal

from drivers.carried import fresh
from drivers.catalogue import Driver, Gatt, frame_by_frame
from drivers.dialogue import Dialogue, Known, Listen, Settings, Subscribe
from drivers.push import pass_on
from protocol.errors import MalformedValue, NoAnswer
from protocol.framing import Frame, ValueFramer
from protocol.quantities import Quantity
from protocol.readings import Event, Kind, Measure, Progress, Reading
from protocol.times import device_time

SERVICE = "cdeacd80-5235-4c07-8846-93a37ee6b86d"
NOTIFY = "cdeacd81-5235-4c07-8846-93a37ee6b86d"
MEASURING, RESULT = 0x80, 0x81
SIZE = 15
IDLE = 120.0
"""Ours: seconds without a word after which the link is given up; a measurement takes less."""


def decode_value(data: bytes) -> Iterator[Reading | Event]:
    """Yield what one value says: type, systolic, diastolic, pulse, two unknown, DD MM YY hh mm, four unknown.

    Raises MalformedValue for everything else, an oximeter's values first of all.
    """
    if data[0] == MEASURING:
        yield Progress(Kind.BLOOD_PRESSURE, {}, "measuring")
        return
    if data[0] != RESULT or len(data) != SIZE:
        raise MalformedValue(f"no blood pressure: {data.hex(' ')}")
    systolic, diastolic, pulse = data[1:4]
    day, month, year, hour, minute = data[6:11]
    moment = device_time(2000 + year, month, day, hour, minute)
    if not systolic > diastolic > 0:
        raise MalformedValue(f"not a blood pressure: {systolic}/{diastolic}")
    values = {
        Measure.SYSTOLIC: Quantity(Decimal(systolic), "mm[Hg]"),
        Measure.DIASTOLIC: Quantity(Decimal(diastolic), "mm[Hg]"),
    }
    if pulse:
        values[Measure.PULSE_RATE] = Quantity(Decimal(pulse), "/min")
    yield Reading(
        Kind.BLOOD_PRESSURE,
        values,
        (data,),
        device_time=moment,
        stored=True,
        record=f"{moment.isoformat()} {systolic}/{diastolic} {pulse}",
    )


decode = frame_by_frame(decode_value)


def talk(_settings: Settings) -> Dialogue:
    """Pass on each result that the journal does not hold."""
    return fresh(_listening())


def _listening() -> Dialogue:
    if (yield Subscribe(NOTIFY)) is not True:
        raise NoAnswer(f"no characteristic {NOTIFY}")
    while isinstance(answer := (yield Listen(timeout=IDLE)), Frame):
        for said in decode([answer]):
            known = isinstance(said, Reading) and said.record and (yield Known(said.record)) is True
            if not known:
                yield from pass_on([said])


DRIVER = Driver(
    name="yonker",
    title="Yonker blood-pressure monitor",
    models=("Yonker YK-IBPA1",),
    kinds=(Kind.BLOOD_PRESSURE,),
    link=Gatt((NOTIFY,), default=NOTIFY, services=(SERVICE,), names=("YK-IBPA",), not_names=("BleModuleA",)),
    framer=ValueFramer,
    decode=decode,
    talk=talk,
    grade="B",
    provenance="captured",
    sources="ble/beurer_bp_variants.md: one captured result; public source no. 61413671861 for 80",
    not_known=(
        "what the messages of 80 say beside that a measurement is under way",
        "how a failed measurement is told, and what the unknown bytes of a result mean",
        "whether older results are told again at connecting (they would count as stored)",
    ),
)
