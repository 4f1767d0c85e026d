"""What the exam page shows of the measurements of one person: one card a kind, nothing judged here.

A card says only what documents hold: values as sent, what the verification rules found, where it came from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from gateway import messages
from gateway.service import DeviceState
from gateway.web.language import Language, mark
from gateway.web.words import KINDS, MEASURES, clock_time, listed, number, unit
from store.facts import VERIFIED, Measurement, Value

ALWAYS = ("blood_pressure", "glucose", "body_size")
MAIN = {"glucose": "glucose", "temperature": "body_temperature", "oximetry": "spo2"}
"""The measure shown large, where a kind has one that is always it."""
STEPS = {
    "blood_pressure": mark(
        "Blood pressure: sit, back against the chair, left arm flat. The result appears here."
    ),
    "glucose": mark("Glucose: put the strip into the meter. The result appears here."),
    "body_size": mark("Height and weight: step on the scale, stand straight. The result appears here."),
}


@dataclass(frozen=True, slots=True)
class Said:
    """Shape and word together, never colour alone; `tone` is the card's style."""

    tone: str
    shape: str = ""
    word: str = ""


FOUND = {
    "measurement_failed": mark("The device could not measure."),
    "doubted_by_machine": mark("The machine itself doubts this value."),
    "machine_range": mark("Outside what this machine can measure."),
    "systolic_over_diastolic": mark("Systolic, diastolic and mean do not fit together."),
    "repeated_report": mark("The same report came before."),
    "time_unknown": mark("The time of this measurement is not known."),
    "plausible_range": mark("An unusual value: measure again."),
    "pulse_pressure": mark("Systolic and diastolic are unusually close: measure again."),
    "bmi_mismatch": mark("The machine's BMI does not fit its height and weight."),
    "urgent_high": mark("Very high: act now."),
    "urgent_low": mark("Very low: act now."),
    "high": mark("High"),
    "low": mark("Low"),
    "time_unsynchronised": mark("The time is to be verified: this box's clock was not set."),
    "time_corrected": mark("The time was corrected: this box's clock was set afterwards."),
    "device_clock_off": mark("The machine's clock is off; its time is kept beside ours."),
}
BEYOND = {
    "urgent_high": Said("urgent", "‼", FOUND["urgent_high"]),
    "urgent_low": Said("urgent", "‼", FOUND["urgent_low"]),
    "high": Said("check", "▲", FOUND["high"]),
    "low": Said("check", "▼", FOUND["low"]),
}
"""How a clinical threshold shows; red only for urgent. The first that fits is shown."""
UNSURE = frozenset({"gateway_unsynchronised", "unknown"})
ORDERS = {"start_blood_pressure": mark("Start"), "stop_blood_pressure": mark("Stop")}
"""What a person may ask of a machine from its card, where its driver offers the order."""


@dataclass(frozen=True, slots=True)
class Card:
    """One kind of examination. `large` and `unit` are shown big, `lines` below, `source` last."""

    kind: str
    title: str
    said: Said
    large: str = ""
    unit: str = ""
    lines: Sequence[str] = ()
    source: Sequence[str] = ()
    repeat: int = 1
    orders: Sequence[tuple[str, str, str]] = ()
    """Device, order, and its word: what a person may ask for this kind."""
    changes: Sequence[tuple[str, str]] = ()
    """Measurement, and the word under which a person may change it."""


@dataclass(frozen=True, slots=True)
class Scene:
    """All the cards need: the language, the zone times are shown in, now, and the machines."""

    language: Language
    zone: ZoneInfo
    now: datetime
    devices: Sequence[DeviceState] = field(default_factory=tuple)

    def of_kind(self, kind: str) -> list[DeviceState]:
        """Return the machines that measure this kind."""
        return [device for device in self.devices if kind in device.kinds]


def cards(scene: Scene, measurements: Sequence[Measurement]) -> list[Card]:
    """Return the three usual cards and one for every other kind that was measured."""
    standing = [one for one in measurements if one.status != "entered-in-error"]
    others = sorted({one.kind for one in standing} - set(ALWAYS))
    return [_card(scene, kind, [m for m in standing if m.kind == kind]) for kind in (*ALWAYS, *others)]


def next_step(scene: Scene, shown: Sequence[Card]) -> str:
    """Return the one-line instruction: the first examination a machine is there for and that is not done."""
    for card in shown:
        if not card.large and scene.of_kind(card.kind) and card.kind in STEPS:
            return scene.language.say(STEPS[card.kind])
    return scene.language.say(mark("Everything is measured. Press F12 to finish."))


def _card(scene: Scene, kind: str, found: Sequence[Measurement]) -> Card:
    busy = next((one for one in scene.of_kind(kind) if one.condition == "measuring"), None)
    if busy is not None:
        return _measuring(scene, kind, busy)
    return _measured(scene, kind, found) if found else _waiting(scene, kind)


def _measuring(scene: Scene, kind: str, device: DeviceState) -> Card:
    say = scene.language.say
    shown = [text for name, text in device.progress.items() if name != "state"]
    return Card(
        kind,
        say(KINDS[kind]),
        Said("busy", "◌", say(mark("Measuring…"))),
        large=" ".join(shown[:1]).partition(" ")[0],
        unit=unit(scene.language, " ".join(shown[:1]).partition(" ")[2]),
        source=[device.name],
        orders=_orders(scene, kind),
    )


def _waiting(scene: Scene, kind: str) -> Card:
    say = scene.language.say
    machines = scene.of_kind(kind)
    if not machines:
        return Card(kind, say(KINDS[kind]), Said("wait", "", say(mark("No machine for this here"))))
    troubled = [one for one in machines if one.code]
    if len(troubled) < len(machines):
        word = say(mark("Waiting for the machine…"))
        lines: list[str] = []
    else:
        word = say(mark("The machine is not ready"))
        lines = [messages.text(str(troubled[0].code), scene.language.tag)]
    names = [one.name for one in machines]
    return Card(
        kind,
        say(KINDS[kind]),
        Said("wait", "", word),
        lines=lines,
        source=names,
        orders=_orders(scene, kind),
    )


def _orders(scene: Scene, kind: str) -> list[tuple[str, str, str]]:
    offered = []
    for device in scene.of_kind(kind):
        wanted = "stop_blood_pressure" if device.condition == "measuring" else "start_blood_pressure"
        if wanted in device.orders and device.condition not in {"starting", "lost", "failed"}:
            offered.append((device.name, wanted, scene.language.say(ORDERS[wanted])))
    return offered


def _measured(scene: Scene, kind: str, found: Sequence[Measurement]) -> Card:
    last = found[-1]
    large, of_unit, shown = _large(scene.language, kind, found)
    rest = {name: value for name, value in _together(kind, found).items() if name not in shown}
    lines = [listed(scene.language, rest)] if rest else []
    if last.failed:
        lines.append(failure(scene.language, last.failed))
    lines += [remark for remark in remarks(scene.language, last) if not last.failed]
    shown_now = found if kind == "body_size" else [last]
    lines += [was for one in shown_now if (was := measured(scene.language, one))]
    return Card(
        kind,
        scene.language.say(KINDS.get(kind, kind)),
        verdict(scene.language, last),
        large=large,
        unit=of_unit,
        lines=lines,
        source=source(scene, last),
        repeat=len(found) if kind != "body_size" else 1,
        orders=_orders(scene, kind),
        changes=_changes(scene.language, kind, found),
    )


def measured(language: Language, one: Measurement) -> str:
    """Return what was measured where a person's values stand instead; empty where they do not."""
    before = one.by_hand.measured if one.by_hand else {}
    was = {name: value for name, value in before.items() if value != one.values.get(name)}
    return language.say(mark("Measured: {values}"), values=listed(language, was)) if was else ""


def _changes(language: Language, kind: str, found: Sequence[Measurement]) -> list[tuple[str, str]]:
    """Return what may be changed of this card: its last measurement; height and weight may be two."""
    ready = [one for one in found if one.status in VERIFIED]
    if kind != "body_size":
        return [(one.id, language.say(mark("Change"))) for one in ready if one is found[-1]]
    shown = {one.id: one for one in {name: one for one in ready for name in one.values}.values()}
    if len(shown) == 1:
        return [(key, language.say(mark("Change"))) for key in shown]
    return [
        (key, " ".join(language.say(MEASURES.get(name, name)) for name in one.values))
        for key, one in shown.items()
    ]


def _together(kind: str, found: Sequence[Measurement]) -> Mapping[str, Value]:
    """Return the values shown: the last measurement's; height and weight may come from two machines."""
    if kind != "body_size":
        return {**found[-1].derived, **found[-1].values}
    values: dict[str, Value] = {}
    for one in found:
        values |= {**one.derived, **one.values}
    return values


def _large(language: Language, kind: str, found: Sequence[Measurement]) -> tuple[str, str, set[str]]:
    """Return the large text, its unit, and the measures it shows."""
    values = _together(kind, found)
    if "systolic" in values and "diastolic" in values:
        both = f"{number(values['systolic'])}/{number(values['diastolic'])}"
        return both, unit(language, values["systolic"].unit), {"systolic", "diastolic"}
    if "bmi" in values:
        return number(values["bmi"]), "BMI", {"bmi"}
    main = MAIN.get(kind, "body_weight")
    name = main if main in values else next(iter(values), None)
    if name is None:
        return "– –", "", set()
    return number(values[name]), unit(language, values[name].unit), {name}


def verdict(language: Language, one: Measurement) -> Said:
    """Return what the rules make of a measurement, as tone, shape and word."""
    severities = {finding.severity for finding in one.findings}
    if "blocking" in severities:
        return Said("check", "?", language.say(mark("Measure again")))
    rules = {finding.rule for finding in one.findings}
    beyond = next((said for rule, said in BEYOND.items() if rule in rules), None)
    if beyond is not None and one.status in VERIFIED:
        return replace(beyond, word=language.say(beyond.word))
    if "warning" in severities:
        return Said("check", "!", language.say(mark("Please check")))
    if one.status in VERIFIED:
        return Said("ok", "✔", language.say(mark("Recorded")))
    return Said("wait", "…", language.say(mark("Stored, not yet assigned")))


def remarks(language: Language, one: Measurement) -> list[str]:
    """Return what the rules found, in words; a note is said with the time already, and in the tray."""
    findings = [finding for finding in one.findings if finding.severity != "note"]
    told = [finding.rule for finding in findings if finding.rule in FOUND.keys() - BEYOND.keys()]
    return [language.say(FOUND[rule]) for rule in told]


def failure(language: Language, failed: str) -> str:
    """Return why the device gave no value, with what to do now."""
    return messages.text(f"failed.{failed.partition(':')[0]}", language.tag)


def source(scene: Scene, one: Measurement) -> tuple[str, ...]:
    """Return what every value carries: where it came from and when, then the machine and the number."""
    say = scene.language.say
    moment = one.effective.time or one.received.utc
    shown = clock_time(moment, scene.zone, scene.now)
    if one.effective.quality in UNSURE:
        shown = say(mark("{time} (to be verified)"), time=shown)
    message = mark("Typed in {time}") if one.source == "manual" else mark("Measured by machine {time}")
    if one.by_hand:
        message = mark("Corrected by hand, measured {time}")
    return say(message, time=shown), f"{one.device or ''} #{one.received_seq}".strip()
