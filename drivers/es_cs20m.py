"""ES-CS20M, ES-32MD and R-MSC04 scales of Renpho.

Service 1A10, told on 2A10 (2A11 is written by apps to start; nothing is written here). A weight is a result
where it is marked as stable or the measurement is said to be over. `55 AA | number | … | SUM` of all before.
Sources: protocols sheet ble/scales_vendor.md, public source no. 65903676221; no capture.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal

from drivers.catalogue import Decoded, Driver, Gatt, frame_by_frame
from drivers.dialogue import Dialogue, Settings, Subscribe
from drivers.weighing import attend
from protocol.checks import sum8
from protocol.errors import MalformedValue, NoAnswer
from protocol.framing import Frame, ValueFramer
from protocol.quantities import Quantity
from protocol.readings import Event, Kind, Notice, Reading
from protocol.scales import TOLD, more, moves, stands

NOTIFY = "2A10"
START = b"\x55\xaa"
STATE, WEIGHT, RESISTANCE = 0x11, 0x14, 0x15
SHORTEST = {STATE: 7, WEIGHT: 11, RESISTANCE: 12}


class Session:
    """What was heard at one contact: the last weight, which the end of a measurement makes a result."""

    def __init__(self) -> None:
        """Begin with nothing heard."""
        self._last = b""

    def decode(self, frame: bytes) -> Iterator[Reading | Event]:
        """Yield what one frame says; raise MalformedValue for what is not documented."""
        if not frame.startswith(START) or len(frame) < 4 or sum8(frame[:-1]) != frame[-1]:
            raise MalformedValue("no whole frame of this scale")
        number = frame[2]
        if len(frame) < SHORTEST.get(number, len(frame) + 1):
            raise MalformedValue(f"number {number:02x} with {len(frame)} bytes is not documented")
        if number == WEIGHT:
            self._last = frame
            yield stands(_weight(frame), frame, _resistance(frame)) if frame[5] else moves(_weight(frame))
        elif number == RESISTANCE:
            yield more(_raw(int.from_bytes(frame[9:11], "big")))
        elif frame[5] == 0 and self._last:
            last, self._last = self._last, b""
            yield stands(_weight(last), last, _resistance(last))
        else:
            self._last = b""
            yield Notice(TOLD, {"bytes": frame[2:-1].hex(" ")})


def _weight(frame: bytes) -> Quantity:
    return Quantity(Decimal(int.from_bytes(frame[8:10], "big")).scaleb(-2), "kg")


def _resistance(frame: bytes) -> dict[str, str]:
    return _raw(int.from_bytes(frame[10:12], "big")) if len(frame) > 12 else {}


def _raw(number: int) -> dict[str, str]:
    return {"resistance_1": str(number)} if number else {}


def decode(frames: Iterable[Frame]) -> Iterator[Decoded]:
    """Say what the frames of one contact mean."""
    return frame_by_frame(Session().decode)(frames)


def talk(_settings: Settings) -> Dialogue:
    """Pass on what the scale tells by itself."""
    if (yield Subscribe(NOTIFY)) is not True:
        raise NoAnswer("no characteristic 2A10")
    yield from attend(frame_by_frame(Session().decode))


DRIVER = Driver(
    name="es_cs20m",
    title="Renpho ES-CS20M scale",
    models=("ES-CS20M", "ES-32MD", "R-MSC04"),
    kinds=(Kind.BODY_SIZE,),
    link=Gatt((NOTIFY,), default=NOTIFY, names=("ES-CS20M", "ES-32MD", "113360_", "R-MSC04")),
    framer=ValueFramer,
    decode=decode,
    talk=talk,
    grade="B",
    provenance="constructed",
    sources="ble/scales_vendor.md: openScale and ble-scale-sync; no captured frame",
    not_known=(
        "any captured frame (those here are constructed; the check code is that of the app's own start)",
        "whether the scale tells a weight to a host that does not start it: it is not started here",
        "whether the weight is in kg where the scale shows another unit, and what the resistance counts",
    ),
)
