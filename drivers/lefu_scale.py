"""Scales with Lefu's "AC02" frames: Hutbit, SWAN, Taylor, FitTrack Dara and other names.

Service FFB0, told on FFB2, written on FFB1; MGB, Robi S9 and Sinocare's glucose meters use the same numbers,
so only a whole frame says that it is this family. A weight carries no unit: it is in the one the scale shows,
so at each contact the scale is told to show the configured one (`unit`). Its clock and person are never set.
The frames are in `protocol/lefu.py`.
"""

from collections.abc import Callable
from dataclasses import replace

from drivers.catalogue import Decode, Driver, Gatt, frame_by_frame
from drivers.dialogue import Dialogue, Settings, Subscribe, Write
from drivers.weighing import attend
from protocol.errors import NoAnswer
from protocol.framing import ValueFramer
from protocol.lefu import HELLO, UNIT, command, decode_frame
from protocol.readings import Kind

NOTIFY, WRITE = "FFB2", "FFB1"


def decoder(unit: str) -> Decode:
    """Return the decoding for a scale that shows *unit*."""
    return frame_by_frame(lambda frame: decode_frame(frame, unit))


def conversation(unit: str) -> Callable[[Settings], Dialogue]:
    """Return the dialogue with a scale that is to show *unit*."""

    def talk(_settings: Settings) -> Dialogue:
        if (yield Subscribe(NOTIFY)) is not True:
            raise NoAnswer("no characteristic FFB2")
        for body in (HELLO, UNIT[unit]):
            yield Write(WRITE, command(body), response=False)
        yield from attend(decoder(unit))

    return talk


def _shaped(driver: Driver, settings: Settings) -> Driver:
    """Return the driver for the configured unit; ValueError where it is none."""
    unit = str(settings["unit"])
    if unit not in UNIT:
        raise ValueError(f"unit: one of {', '.join(UNIT)}")
    return replace(driver, decode=decoder(unit), talk=conversation(unit))


DRIVER = Driver(
    name="lefu_scale",
    title='Scale with "AC02" frames (Lefu, Hutbit, SWAN)',
    models=("Hutbit", "SWAN", "Juniper", "Taylor", "FitTrack Dara"),
    kinds=(Kind.BODY_SIZE,),
    link=Gatt((NOTIFY, WRITE), default=NOTIFY, names=("Hutbit", "SWAN", "FITTRACK", "FitTrack")),
    framer=ValueFramer,
    decode=decoder("kg"),
    talk=conversation("kg"),
    grade="A",
    provenance="captured",
    sources="ble/scales_vendor.md: openScale and ble-scale-sync, captures of three scales",
    not_known=(
        "whether every scale of the family obeys the unit it is told (one app repeats it all the time)",
        "whether a scale tells its weight without the person and clock that apps set: they are not set here",
        "what the frames with FE mean (one program reads a body fat of 0.5 % in one scale): no value is read",
        "how the next person shows: another weight after a moving one, or a nearly empty plate (ours)",
        "SWAN is also the name of MGB scales, whose longer frames are refused",
    ),
    settings={"unit": "kg"},
    shaped=_shaped,
)
