"""Allmedicus AGM-4000, Embrace PRO and GlucoZen.auto glucose meters on their USB or serial cable.

USB HID 04D8:003F (the ids of a Microchip example that other makers' devices carry too), every byte of a
question in a report of its own; or, with `cable=port`, a PL2303 serial cable, 19200 8N1. Values are always
mg/dL. The clock can be neither read nor set. Never tried on hardware. The messages: `protocol/allmedicus.py`.
"""

from collections.abc import Callable, Generator
from dataclasses import replace

from drivers.catalogue import Driver, Hid, Serial, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Settings, Step
from drivers.memory import Fetched, Settled, download
from drivers.meters import Answered, Part, ask, attend, incomplete, without_results
from drivers.push import pass_on
from protocol import allmedicus
from protocol.allmedicus import COUNT, SERIAL, ask_record, in_reports, question
from protocol.errors import NoAnswer
from protocol.readings import Identified, Kind, Measure

ANSWER = 3.0
"""Seconds a meter has to answer, as Tidepool waits."""
TRIES = 3
"""Ours: times a question is put; Tidepool puts it twice."""

decode = frame_by_frame(allmedicus.decode_message)


def talk(settings: Settings) -> Dialogue:
    """Ask who is there and for each new record, again and again."""
    return attend(_Meter(bytes if settings["cable"] == "port" else in_reports))


class _Meter:
    """The questions put to the meter that hangs on the cable now."""

    def __init__(self, packed: Callable[[bytes], bytes]) -> None:
        self.decode = without_results(decode)
        self._packed = packed
        self._serial = ""

    def look(self, *, whole: bool) -> Part:
        """Ask who is there, and for what is new in its memory."""
        del whole  # the newest record says whether anything is new
        count = yield from self._count()
        if count is None:
            raise NoAnswer("no count of records")
        yield from self._introduce()

        def settled() -> Settled:
            return (yield from self._count()) == count

        if not (yield from download(self._fetch, count, settled)):
            yield from incomplete()

    def _count(self) -> Generator[Step, Answer, int | None]:
        answer = yield from self._ask(question(COUNT), lambda frame: _answers(frame, COUNT))
        return None if answer is None else allmedicus.counted(answer.data)

    def _introduce(self) -> Part:
        answer = yield from self._ask(question(SERIAL), lambda frame: _answers(frame, SERIAL))
        said = list(decode([answer])) if answer else []
        serials = [item.serial for item in said if isinstance(item, Identified)]
        if serials != [self._serial]:
            self._serial = serials[0] if serials else ""
            yield from pass_on(said)

    def _fetch(self, index: int) -> Fetched:
        frame = yield from self._ask(ask_record(index), lambda frame: allmedicus.is_record(frame, index))
        return None if frame is None else list(decode([frame]))

    def _ask(self, message: bytes, right: Callable[[bytes], bool]) -> Answered:
        return (yield from ask(self._packed(message), self.decode, right, ANSWER, TRIES))


def _answers(frame: bytes, command: int) -> bool:
    """Say whether a frame answers a question that has no data of its own."""
    return bool(allmedicus.data_of(frame, command))


def _shaped(driver: Driver, settings: Settings) -> Driver:
    """Return the driver for a cable. Raises ValueError for one that there is not."""
    if settings["cable"] not in {"hid", "port"}:
        raise ValueError(f"cable {settings['cable']!r}: hid or port")
    return replace(driver, link=Serial(baudrate=19200)) if settings["cable"] == "port" else driver


DRIVER = Driver(
    name="agm4000",
    title="Allmedicus AGM-4000 glucose meter",
    models=("Allmedicus AGM-4000", "Omnis Embrace PRO", "GlucoZen.auto"),
    kinds=(Kind.GLUCOSE,),
    link=Hid(allmedicus.REPORT, ((0x04D8, 0x003F),)),
    framer=allmedicus.MessageFramer,
    decode=decode,
    talk=talk,
    grade="B",
    provenance="constructed",
    sources="serial/other_glucose_meters.md: Tidepool's driver agm4000.js; no meter was heard",
    not_known=(
        "the size of a report (64 is taken; an answer is found in reports of any size)",
        "what a meter does with the zeros behind the one byte of a report",
        "the meter's clock: it cannot be read, and how command 04 sets it is not known",
        "six bits before a record's value and three behind its event; values below 19 and above 601: refused",
        "whether a meter on the serial cable speaks so: Tidepool has the frame over USB only",
    ),
    orders=("read_records",),
    settings={"cable": "hid"},
    machine_range={Measure.GLUCOSE: allmedicus.SHOWN},
    shaped=_shaped,
)
