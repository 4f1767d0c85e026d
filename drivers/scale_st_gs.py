"""Weighing scales that write "ST,GS,…" lines: A&D, Tiger, Selleton, Dini Argeo; and Rice Lake 140-10.

Cable: RS-232; line settings differ by maker and must be looked up (9600 8N1 is only the usual one).
A streaming scale repeats its line several times a second: a weight is taken from three equal stable lines,
and then none until the plate was empty. A scale that writes one line per press of its print key is set to
`mode = "print"`. Nothing is ever sent unless `poll` is set to a documented request.
"""

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from drivers.catalogue import Decoded, Driver, Refusal, Serial, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Listen, Observe, Report, Send, Settings, Step
from drivers.push import refused
from protocol.errors import ConfigError, MalformedValue
from protocol.framing import Frame, LineFramer
from protocol.quantities import Quantity
from protocol.readings import Event, Kind, Measure, Progress, Reading
from protocol.steady import Steady
from protocol.times import device_time

NUMBER = rb"\d++(?:\.\d++)?"
"""Possessive, as all here: a line of blanks must not be tried in every division of the blanks."""
PLAIN = re.compile(
    rb"(?P<address>\d\d)?(?P<status>ST|US|QT), *+(?:(?P<load>GS|NT),?)? *+"
    rb"(?P<sign>[+-]?) *+(?P<value>" + NUMBER + rb") *+,? *+(?P<unit>[A-Za-z]++) *+"
)
EXTENDED = re.compile(
    rb"(?P<address>\d\d)?\d?(?P<status>ST|US),\d, *+(?P<sign>[+-]?) *+(?P<value>" + NUMBER + rb"),"
    rb"(?:PT)? *+(?P<tare>" + NUMBER + rb"), *+0,(?P<unit>[A-Za-z]++)"
    rb"(?:,(?P<clock>\d\d/\d\d/\d\d \d\d:\d\d:\d\d))?"
)
"""Dini Argeo DGT4X manual p. 52: scale number, weight, preset tare, the figure 0, unit, day/month/year."""
OUT_OF_RANGE = re.compile(rb"(?:\d\d)?\d?(?P<status>OL|UL),[ -~]*+")
BARE = re.compile(rb" *+(?P<value>" + NUMBER + rb") ++(?P<unit>kg|lb) *+", re.IGNORECASE)
"""Rice Lake 140-10, only as the answer to `p`: the tail of a line cut off would look the same."""

UNITS = {"kg": "kg", "lb": "[lb_av]"}
LOADS = {"GS": "gross", "NT": "net"}
RANGE = {"OL": "overload", "UL": "underload"}
KG_PER_LB = Decimal("0.45359237")
FILLED = 6
"""A display of at least so many figures, all of them 9, is A&D's overload (±999999.9)."""
EQUAL_LINES = 3
POLLS = {"": b"", "R": b"R", "p": b"p"}
POLL_EVERY = 1.0
"""Ours: seconds of silence before a scale is asked again."""


def decode_line(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one line says: a reading if stable, progress if not; raise MalformedValue for others."""
    line = frame.rstrip(b"\r\n")
    if (found := OUT_OF_RANGE.fullmatch(line)) is not None:
        yield _failed(RANGE[found["status"].decode("ascii")], frame)
        return
    found = PLAIN.fullmatch(line) or EXTENDED.fullmatch(line) or BARE.fullmatch(line)
    if found is None:
        raise MalformedValue("no documented line of a scale")
    fields = {name: text.decode("ascii") for name, text in found.groupdict().items() if text is not None}
    if fields.get("status") == "QT":
        raise MalformedValue("the scale is counting pieces")
    yield _weight(fields, frame)


def _weight(fields: dict[str, str], frame: bytes) -> Reading | Event:
    figures = fields["value"].replace(".", "")
    if len(figures) >= FILLED and set(figures) == {"9"}:
        return _failed("overload", frame)
    unit = UNITS.get(fields["unit"].lower())
    if unit is None:
        raise MalformedValue(f"unit {fields['unit']}: only kg and lb", code="scale_st_gs.unit")
    weight = {Measure.BODY_WEIGHT: Quantity(Decimal(fields.get("sign", "") + fields["value"]), unit)}
    if fields.get("status") == "US":
        return Progress(Kind.BODY_SIZE, weight, "unstable")
    return Reading(
        Kind.BODY_SIZE,
        weight,
        (frame,),
        device_time=_clock(fields["clock"]) if "clock" in fields else None,
        context=_context(fields),
    )


def _clock(stated: str) -> datetime:
    day, month, year, *clock = map(int, re.split("[/: ]", stated))
    return device_time(2000 + year, month, day, *clock)


def _context(fields: dict[str, str]) -> dict[str, str]:
    context: dict[str, str] = {name: fields[name] for name in ("address", "tare") if name in fields}
    if "load" in fields:
        context["load"] = LOADS[fields["load"]]
    if "status" not in fields:
        context["stability"] = "not stated"
    return context


def _failed(reason: str, frame: bytes) -> Reading:
    return Reading(Kind.BODY_SIZE, {}, (frame,), failed=reason)


decode = frame_by_frame(decode_line)


@dataclass(slots=True)
class _Plate:
    """What stands on the scale, so that one person is one reading."""

    minimum: Decimal
    bare_lines: bool
    weight: Steady[str] = field(default_factory=lambda: Steady(EQUAL_LINES))
    trouble: Steady[str] = field(default_factory=lambda: Steady(EQUAL_LINES))
    empty: bool = True
    told: set[str] = field(default_factory=set)
    """Reasons of refusals already let known: a wrong setting repeats itself ten times a second."""

    def take(self, reading: Reading) -> tuple[bytes, ...]:
        """Return the lines that prove *reading* where it is to be reported now, else ()."""
        if reading.failed:
            self.weight.unsettle()
            return self.trouble.see(reading.failed, reading.evidence[0])
        self.trouble.release()
        quantity = reading.values[Measure.BODY_WEIGHT]
        self.empty = quantity.value * (KG_PER_LB if quantity.unit == "[lb_av]" else 1) < self.minimum
        if self.empty:
            self.weight.release()
            return ()
        return self.weight.see(f"{quantity.value} {quantity.unit}", reading.evidence[0])

    def unsettle(self) -> None:
        """A line that is no stable weight came between."""
        self.weight.unsettle()
        self.trouble.unsettle()


def talk(settings: Settings) -> Dialogue:
    """Take one weight per person from the stream, or each printed line; ask only if told to."""
    mode, poll = str(settings["mode"]), str(settings["poll"])
    if mode not in {"stream", "print"} or poll not in POLLS or (mode == "print" and poll):
        raise ConfigError(f"mode {mode!r} with poll {poll!r}", code="scale_st_gs.settings")
    plate = _Plate(Decimal(settings["minimum_kg"]), bare_lines=poll == "p")
    while True:
        answer = yield Listen(POLL_EVERY if poll else None)
        if isinstance(answer, Frame):
            for said in decode([answer]):
                yield from _weigh(said, plate, printed=mode == "print")
        elif poll:
            yield Send(POLLS[poll])


def _weigh(said: Decoded, plate: _Plate, *, printed: bool) -> Generator[Step, Answer, None]:
    if isinstance(said, Reading) and ("stability" not in said.context or plate.bare_lines):
        was_empty = plate.empty
        if evidence := said.evidence if printed else plate.take(said):
            yield Report(replace(said, evidence=evidence))
        if plate.empty and not was_empty:
            yield Observe(Progress(said.kind, said.values, "empty", underway=False))
        return
    plate.unsettle()
    if isinstance(said, Progress):
        plate.empty = False
        if not plate.weight.taken:  # else this is the person stepping off again
            yield Observe(said)
    elif isinstance(said, Refusal) and said.reason not in plate.told:
        plate.told.add(said.reason)
        yield Observe(refused(said))


DRIVER = Driver(
    name="scale_st_gs",
    title='Scale with "ST,GS" lines',
    models=("A&D EK-L", "Tiger TI-02-P", "Selleton SL-7515", "Dini Argeo DGT4X", "Rice Lake 140-10"),
    kinds=(Kind.BODY_SIZE,),
    link=Serial(),
    framer=LineFramer,
    decode=decode,
    talk=talk,
    grade="A",
    provenance="document",
    sources="serial/scales_st_gs.md: makers' manual pages; obiba/onyx-instruments for Rice Lake",
    not_known=(
        "the line settings of most makers",
        "the weight below which the plate counts as empty (minimum_kg is ours)",
        "whether the extended line's weight is gross or net where a tare is set",
        "the line end a request needs (it is sent without one)",
    ),
    settings={"mode": "stream", "minimum_kg": 2, "poll": ""},
)
