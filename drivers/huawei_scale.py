"""Huawei and Honor scales: records as they are once decrypted (AH100, CH100; Scale 2 Pro, 3, 3 Pro).

Nothing a scale sends is readable: a session needs keys of the maker's that no clinic has, and AH100 and CH100
tell a result only to a host that writes a person into them. So no conversation is held here: what is heard is
kept with its bytes, and `decode` reads records that another program decrypted.
Sources: protocols sheet ble/scales_vendor.md with its vectors; the layouts in public sources no. 60741509749
(15 bytes) and 60578553440 (26 or 38, and two more in the memory).
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from drivers.catalogue import Driver, Gatt, frame_by_frame
from drivers.dialogue import Dialogue, Settings, Subscribe
from drivers.weighing import attend
from protocol.errors import MalformedValue, NoAnswer
from protocol.framing import ValueFramer
from protocol.quantities import Quantity, tenths
from protocol.readings import Event, Kind, Measure, Notice, Reading
from protocol.scales import ohms
from protocol.times import device_time

OLD_SCALE, NEW_SCALE = "FAA2", "46797c17-d639-488d-9476-4789e8472878"
OLD = 15
LENGTHS = frozenset({OLD, 26, 28, 38, 40})
SEALED = frozenset({0xBC, 0xBD, 0xCD})
"""What everything a scale sends begins with; its length less two follows."""
FIRST_YEAR = 2000


def decode_record(record: bytes) -> Iterator[Reading | Event]:
    """Yield what a decrypted record says; raise MalformedValue for what is not documented."""
    sealed = len(record) > 2 and record[0] in SEALED
    if sealed and (record[1] == len(record) - 2 or len(record) not in LENGTHS):
        yield Notice("huawei_scale.sealed", {"bytes": record.hex(" ")}, evidence=record)
    elif len(record) == OLD:
        user = {"user": str(record[0])}
        yield _reading(record, 1, tenths(_word(record, 1), "kg"), {**user, **ohms(_word(record, 13))})
    elif len(record) in LENGTHS:
        weight = Quantity(Decimal(_word(record, 0)).scaleb(-2), "kg")
        yield _reading(record, 0, weight, _new_context(record))
    else:
        raise MalformedValue(f"a record of {len(record)} bytes is not documented")


def _reading(record: bytes, at: int, weight: Quantity, context: dict[str, str]) -> Reading:
    """Return the reading; weight, fat and time stand one after the other from *at* on."""
    moment = _moment(record[at + 4 : at + 11])
    if not weight.value:
        raise MalformedValue("zero is not a value")
    values = {Measure.BODY_WEIGHT: weight}
    if fat := _word(record, at + 2):
        values[Measure.BODY_FAT] = tenths(fat, "%")
    return Reading(
        Kind.BODY_COMPOSITION if fat else Kind.BODY_SIZE,
        values,
        (record,),
        device_time=moment,
        context=context,
        stored=True,
        record=f"{context.get('user', '')} {moment.isoformat()} {weight.value}".strip(),
    )


def _new_context(record: bytes) -> dict[str, str]:
    """Return pulse and impedances; these stand as sent, no source tells what they count."""
    context = {}
    if pulse := _word(record, 24):
        context["heart_rate"] = str(pulse)
    for name, begin, end in (("impedances", 12, 24), ("high_impedances", 26, 38)):
        words = [str(_word(record, at)) for at in range(begin, min(end, len(record) - 1), 2)]
        if len(words) == 6 and any(word != "0" for word in words):
            context[name] = " ".join(words)
    return context


def _moment(clock: bytes) -> datetime:
    year = _word(clock, 0)
    if year < FIRST_YEAR:
        raise MalformedValue(f"no year of a record: {year}")
    return device_time(year, *clock[2:])


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


decode = frame_by_frame(decode_record)


def talk(_settings: Settings) -> Dialogue:
    """Keep what the scale tells by itself."""
    old = yield Subscribe(OLD_SCALE)
    new = yield Subscribe(NEW_SCALE)
    if True not in (old, new):
        raise NoAnswer("none of the known characteristics")
    yield from attend(decode, hold=0)


DRIVER = Driver(
    name="huawei_scale",
    title="Huawei or Honor scale (decrypted records)",
    models=("AH100", "CH100", "Scale 2 Pro", "Scale 3", "Scale 3 Pro", "Honor Scale 2"),
    kinds=(Kind.BODY_COMPOSITION, Kind.BODY_SIZE),
    link=Gatt((), default=NEW_SCALE, names=("AH100", "CH100", "HUAWEI Scale", "HAG-B19", "HEM-B19")),
    framer=ValueFramer,
    decode=decode,
    talk=talk,
    grade="C",
    provenance="captured",
    sources="ble/scales_vendor.md: openScale, one captured record with its own keys, one of a test",
    not_known=(
        "how a session is held without the maker's keys and without a person written into the scale",
        "whether a record is of now or from the memory (all count as from the memory)",
        "what the impedances of the newer scales count (one program divides the larger ones by ten)",
        "byte 11 of the newer records and byte 12 of the older ones (taken for the weekday)",
    ),
)
