"""Any scale or meter that writes a text line: what the line looks like is told by the configuration.

Cable: whatever the machine has; look up its line settings (9600 8N1 is only the usual one). `layout` says how
a line looks, in the words of `protocol/lines.py`: "ST,GS,{weight} kg", "W{weight:5}H{height:5}"; `layout_2`
and `layout_3` are for machines with several kinds of line. Units are never guessed. A machine without a mark
for a stable value must say the same twice (`repeat`); one that writes each result once has `repeat = 1`.
`checkup-gateway devices learn FILE --shown weight=62.3kg` writes the stanza from recorded lines.
Nothing is ever sent.
"""

from collections.abc import Iterable
from dataclasses import replace

from drivers.catalogue import Decode, Driver, Serial, frame_by_frame
from drivers.dialogue import Dialogue, Observe, Settings
from drivers.repeated import listening
from protocol.described import DEFAULTS, Reader, reader
from protocol.errors import MalformedValue
from protocol.framing import LineFramer
from protocol.readings import Event, Kind, Notice, Reading


def _not_configured(_frame: bytes) -> Iterable[Reading | Event]:
    raise MalformedValue("no layout", code="line.not_configured")


def decoder(told: Reader | None) -> Decode:
    """Return the decoder of one configuration; without one every line is refused."""
    return frame_by_frame(told.decode_line if told else _not_configured)


def talk(settings: Settings) -> Dialogue:
    """Take one value per person from a machine that repeats itself, or each line of one that does not."""
    told = reader(settings)
    decode = decoder(told)
    if told is None:
        yield Observe(Notice("line.not_configured", fault=True))
    yield from listening(decode, int(settings["repeat"]))


def shaped(driver: Driver, settings: Settings) -> Driver:
    """Return the driver of one machine. Raises ValueError that says which setting is wrong and why."""
    told = reader(settings)
    if told is None:
        return driver
    return replace(driver, kinds=told.kinds, framer=told.framer, decode=decoder(told))


DRIVER = Driver(
    name="line",
    title="Any scale or meter that writes a text line",
    models=("any: its line is described in the configuration",),
    kinds=tuple(Kind),
    link=Serial(),
    framer=LineFramer,
    decode=decoder(None),
    talk=talk,
    grade="C",
    provenance="constructed",
    sources="serial/height_weight_lines.md: the shapes and rules that a configurable line driver must know",
    not_known=(
        "everything about the machine: layout, units and line settings are the configuration's",
        "the seconds of silence after which the next line is another person's (ours)",
        "the weight below which the plate counts as empty (minimum_kg is ours)",
    ),
    settings=DEFAULTS,
    shaped=shaped,
    names_people=True,
)
