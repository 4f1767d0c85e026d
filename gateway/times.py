"""What time it really was: our clock's courses put together, and the time a measurement counts for.

Pure. Whatever our wall clock said, the time since boot tells how far apart two moments of a boot are; so the
time of one moment, once known, is the time of all of them, and of other boots at least the limits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from gateway.clock import local
from store.clocks import Turn
from store.facts import Effective, Instant, Quality

NO_EARLIER = datetime(2026, 1, 1, tzinfo=UTC)
"""This release is younger than that: a wall clock that says less is wrong."""
AT_BEST = timedelta(seconds=1)
"""How wrong a synchronised clock may be: what may be left to slew away (systemd-timesyncd: 0.4 s)."""
DRIFT_PPM = 100
"""How wrong the time since boot may run while nobody keeps it; boards' crystals are given as 20 to 50."""
SURE = timedelta(seconds=60)
"""A time known to within this is called synchronised; ours, a minute is what slips of paper carry."""
GRACE = timedelta(seconds=60)
"""So much younger than the device's own now a record may be: many devices tell whole minutes."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

HOW: Mapping[str, str] = {
    "arrival": "time of arrival",
    "back": "arrival, counted back from when our clock was synchronised",
    "on": "arrival, counted on from when our clock was last synchronised",
    "between": "arrival, between two synchronisations of our clock",
    "disagree": "arrival, between two synchronisations that disagree",
    "set": "arrival, by our clock as it was set later, not synchronised",
    "within": "arrival, our clock lies between the times known before and after",
    "middle": "arrival, half-way between the times known before and after",
    "contrary": "arrival, the times known before and after contradict each other",
    "unset": "our clock was not set",
}
"""How the time of an arrival is known, by the word used here."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a boot in which both clocks ran together; in ns since boot."""

    start: int
    end: int
    """The last moment known of it."""
    until: int
    """When the next was noticed: nothing happened in between."""
    shift: timedelta
    """Wall clock minus time since boot, after 1970."""
    synchronised: bool

    def shown(self, boottime_ns: int) -> datetime:
        """Return what this course of the clock shows at a moment of the boot."""
        return EPOCH + self.shift + _since(boottime_ns)


@dataclass(frozen=True, slots=True)
class Boot:
    """One boot as far as the journal tells: its stretches in order, at least one."""

    id: str
    stretches: tuple[Stretch, ...]

    @property
    def kept(self) -> list[Stretch]:
        """The stretches in which the clock was synchronised."""
        return [one for one in self.stretches if one.synchronised]


class Known(NamedTuple):
    """What is known of one moment. Always true: `earliest` ≤ `time` ≤ `latest` where there are such."""

    time: datetime | None
    how: str
    """A key of HOW."""
    sure: bool
    """The time rests on a synchronised clock, and is known to within SURE."""
    settled: bool
    """No turn of our clock still to come will tell more."""
    earliest: datetime | None = None
    latest: datetime | None = None


def boots_of(turns: Sequence[Turn], until: Instant | None) -> list[Boot]:
    """Return the boots of *turns*, which are in order; *until* is the last moment known, if it is."""
    made: dict[str, list[Stretch]] = {}
    for index, turn in enumerate(turns):
        following = turns[index + 1].before if index + 1 < len(turns) else until
        end = following if following is not None and following.boot_id == turn.at.boot_id else turn.at
        shift = turn.at.utc - EPOCH - _since(turn.at.boottime_ns)
        noticed = turns[index + 1].at if index + 1 < len(turns) else end
        until = noticed if noticed.boot_id == turn.at.boot_id else end
        stretch = Stretch(
            turn.at.boottime_ns, end.boottime_ns, until.boottime_ns, shift, turn.at.synchronised
        )
        made.setdefault(turn.at.boot_id, []).append(stretch)
    return [Boot(name, tuple(stretches)) for name, stretches in made.items()]


def known(boots: Sequence[Boot], at: Instant) -> Known:
    """Return what *boots*, in the order of the journal, tell of this moment.

    Where the one of *at* is not among them (its facts were lost), only the wall clock is left.
    """
    if at.synchronised:
        return Known(at.utc, "arrival", sure=True, settled=True)
    index = next((i for i, boot in enumerate(boots) if boot.id == at.boot_id), None)
    if index is None:
        time, how = (at.utc, "arrival") if at.utc >= NO_EARLIER else (None, "unset")
        return Known(time, how, sure=False, settled=True)
    if boots[index].kept:
        return _within_boot(boots[index].kept, at)
    return _across_boots(boots, index, at)


def _within_boot(kept: Sequence[Stretch], at: Instant) -> Known:
    b = at.boottime_ns
    before = next((one for one in reversed(kept) if one.start <= b), None)
    after = next((one for one in kept if one.start > b), None)
    if before is None:
        assert after is not None
        about = AT_BEST + _drift(_since(after.start - b))
        return _around(after.shown(b), about, "back", settled=True)
    if after is None:
        about = AT_BEST + _drift(_since(b - before.end))
        return _around(before.shown(b), about, "on", settled=False)
    return _between(before, after, b)


def _between(before: Stretch, after: Stretch, b: int) -> Known:
    """Return what two synchronised stretches tell of a moment between them."""
    first, second = before.shown(b), after.shown(b)
    gap, part = after.start - before.until, max(0, b - before.until)
    about = AT_BEST + _drift(_since(min(b - before.end, after.start - b)))
    if abs(second - first) > 2 * (AT_BEST + _drift(_since(after.start - before.end))):
        nearer = first if part < gap - part else second
        low, high = min(first, second) - about, max(first, second) + about
        return Known(nearer, "disagree", sure=False, settled=True, earliest=low, latest=high)
    return _around(first + (second - first) * (part / max(1, gap)), about, "between", settled=True)


def _around(time: datetime, about: timedelta, how: str, *, settled: bool) -> Known:
    return Known(time, how, sure=about <= SURE, settled=settled, earliest=time - about, latest=time + about)


def _across_boots(boots: Sequence[Boot], index: int, at: Instant) -> Known:
    earliest, latest = _not_before(boots, index, at), _not_after(boots, index, at)
    settled = latest is not None
    if earliest is not None and latest is not None and earliest > latest:
        return Known(None, "contrary", sure=False, settled=True)
    floor = earliest or NO_EARLIER
    own = next(one for one in reversed(boots[index].stretches) if one.start <= at.boottime_ns)
    since = boots[index].stretches[boots[index].stretches.index(own) :]
    for stretch in reversed(since):  # whoever set the clock last knew best, unless that cannot be
        shown = at.utc if stretch == own else stretch.shown(at.boottime_ns)
        if shown >= floor and (latest is None or shown <= latest):
            how = "within" if settled and earliest else "arrival" if stretch == own else "set"
            return Known(shown, how, sure=False, settled=settled, earliest=earliest, latest=latest)
    if earliest is not None and latest is not None:
        middle = earliest + (latest - earliest) / 2
        return Known(middle, "middle", sure=False, settled=True, earliest=earliest, latest=latest)
    return Known(None, "unset", sure=False, settled=settled, earliest=earliest, latest=latest)


def _not_before(boots: Sequence[Boot], index: int, at: Instant) -> datetime | None:
    """Return the last true time known of an earlier boot, and what has surely passed since."""
    passed = at.boottime_ns
    for boot in reversed(boots[:index]):
        end = boot.stretches[-1].end
        if boot.kept:
            left = boot.kept[-1]
            on = _since(end - left.end)
            return left.shown(end) - AT_BEST - _drift(on) + _at_least(_since(passed))
        passed += end
    return None


def _not_after(boots: Sequence[Boot], index: int, at: Instant) -> datetime | None:
    """Return the first true time known of a later boot, less what has surely passed before it."""
    passed = boots[index].stretches[-1].end - at.boottime_ns
    for boot in boots[index + 1 :]:
        if boot.kept:
            first = boot.kept[0]
            return first.shown(first.start) + AT_BEST - _at_least(_since(passed + first.start))
        passed += boot.stretches[-1].end
    return None


def _since(ns: int) -> timedelta:
    return timedelta(microseconds=ns // 1000)


def _drift(span: timedelta) -> timedelta:
    return span * DRIFT_PPM / 1_000_000


def _at_least(span: timedelta) -> timedelta:
    return max(timedelta(), span - _drift(span))


Stamp = Literal["utc", "local", "ticks"]
Kept = Literal["better", "worse", "none"]
"""How a device's clock is synchronised: better than ours, worse than ours, not at all."""
Action = Literal["shift", "as said", "none"]

TIMELINE: Mapping[tuple[Stamp, bool, Kept], Action] = {
    ("utc", True, "better"): "as said",
    ("utc", True, "worse"): "shift",
    ("utc", True, "none"): "shift",
    ("utc", False, "better"): "as said",
    ("utc", False, "worse"): "as said",
    ("utc", False, "none"): "none",
    ("local", True, "better"): "as said",
    ("local", True, "worse"): "shift",
    ("local", True, "none"): "shift",
    ("local", False, "better"): "as said",
    ("local", False, "worse"): "as said",
    ("local", False, "none"): "none",
    ("ticks", True, "better"): "shift",
    ("ticks", True, "worse"): "shift",
    ("ticks", True, "none"): "shift",
    ("ticks", False, "better"): "none",
    ("ticks", False, "worse"): "none",
    ("ticks", False, "none"): "none",
}
"""The PHD guide's coincident timestamp (STANDARDS §3.2): by the kind of a record's stamp, whether it is of
the device's current timeline, and how the device's clock is kept, what becomes of the record's time."""


class Record(NamedTuple):
    """A record's own time. Local times are naive, UTC ones aware, ticks a span since the counter began."""

    stamp: Stamp
    said: datetime | timedelta
    shown: datetime | timedelta
    """What the device's clock or counter showed at the moment of contact."""
    current: bool
    """It is of the timeline that the device's clock is on now."""
    kept: Kept


def placed(record: Record, contact: datetime, zone: ZoneInfo) -> datetime | None:
    """Return when a record was made, by TIMELINE, if the moment of contact was *contact*; None: not known."""
    action = TIMELINE[record.stamp, record.current, record.kept]
    if action == "none":
        return None
    age = record.shown - record.said  # type: ignore[operator]
    assert isinstance(age, timedelta)
    shifted = contact - max(age, timedelta())
    if action == "shift" or isinstance(record.said, timedelta):
        return shifted
    said = record.said if record.said.tzinfo else local(record.said, zone, shifted)
    return min(said.astimezone(UTC), contact)


@dataclass(frozen=True, slots=True)
class Timing:
    """All that decides a measurement's effective time."""

    stored: bool
    device_time: datetime | None
    arrived: Instant
    known: Known
    """What is known of the moment of arrival."""
    offset_s: float | None
    """Device clock minus our wall clock at that moment, as that showed; None where it was not read."""
    tolerance_s: float
    """Beyond this the device clock is not called synchronised."""
    zone: ZoneInfo
    clock_lost: bool = False
    """The device says that its clock was not right when it measured."""
    kept: Kept = "none"


def device_offset(timing: Timing) -> float | None:
    """Return device clock minus true time; None where either is not known."""
    if timing.offset_s is None or timing.known.time is None:
        return None
    return timing.offset_s - (timing.known.time - timing.arrived.utc).total_seconds()


def effective(timing: Timing) -> Effective:
    """Return the time this measurement counts for, with its quality and the rule that chose it.

    A live one counts for its arrival; a stored one as TIMELINE says. Never a time later than the arrival, as
    far as that is known; the device's own time is always kept beside it.
    """
    if not timing.stored:
        return _of_arrival(timing.known)
    if timing.device_time is None:
        return _unknown("stored: device gave no time")
    if timing.clock_lost:
        return _unknown("stored: device clock was lost")
    if timing.offset_s is None:
        return _unknown("stored: device clock was not read")
    shown = (timing.arrived.utc + timedelta(seconds=timing.offset_s)).astimezone(timing.zone)
    naive = shown.replace(tzinfo=None)
    current = naive - timing.device_time >= -GRACE
    record = Record("local", timing.device_time, naive, current, timing.kept)
    if TIMELINE["local", current, timing.kept] == "none":
        return _unknown("stored: device time lies in the future")
    if timing.known.time is None:
        return _unknown(f"stored: {HOW[timing.known.how]}")
    return _stored(record, timing)


def _unknown(rule: str) -> Effective:
    return Effective(time=None, quality="unknown", rule=rule)


def _of_arrival(told: Known) -> Effective:
    quality: Quality = "gateway_synchronised" if told.sure else "gateway_unsynchronised"
    if told.time is None:
        quality = "unknown"
    return Effective(told.time, quality, f"live: {HOW[told.how]}", told.earliest, told.latest)


def _stored(record: Record, timing: Timing) -> Effective:
    told = timing.known
    assert told.time is not None
    time = placed(record, told.time, timing.zone)
    aged = placed(record._replace(kept="none"), told.time, timing.zone)
    assert time is not None
    rule, agrees = "stored: device time shifted by its clock's offset", False
    if TIMELINE["local", record.current, timing.kept] == "as said":
        rule, agrees = "stored: device time, its clock is kept better than ours", True
    elif _agrees(timing) and (said := _as_said(timing, time)) <= told.time:
        rule, agrees, time = "stored: device time, its clock agrees with ours", True, said
    quality: Quality = "gateway_unsynchronised"
    if told.sure:
        quality = "device_synchronised" if agrees else "device_corrected"
    if told.how != "arrival":
        rule = f"{rule}; {HOW[told.how]}"
    age = told.time - (aged or time)
    earliest = min(told.earliest - age, time) if told.earliest else None
    latest = max(told.latest - age, time) if told.latest else None
    return Effective(time, quality, rule, earliest, latest)


def _agrees(timing: Timing) -> bool:
    off = device_offset(timing)
    return off is not None and abs(off) <= timing.tolerance_s


def _as_said(timing: Timing, near: datetime) -> datetime:
    assert timing.device_time is not None
    return local(timing.device_time, timing.zone, near)
