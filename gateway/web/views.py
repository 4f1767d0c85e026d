"""What each page shows, read from the store and the running gateway: plain values, ready for a template.

Runs off the loop (SQLite). Names and numbers leave here masked; only the form a person is typing into is not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from gateway import messages, verification, wear
from gateway.api.context import Context
from gateway.service import DeviceState
from gateway.web.cards import Scene, cards, failure, next_step, source
from gateway.web.language import Language, mark
from gateway.web.words import KINDS, clock_time, listed, masked_name, masked_number, span, years
from store.exams import Exam
from store.facts import Measurement
from store.queries import Queries

TRAY_LIMIT = 100
PARKED_LIMIT = 100
SYSTEMS = {
    "cn-id": mark("Identity card"),
    "health-record": mark("Health record number"),
    "passport": mark("Passport"),
    "other": mark("Other number"),
}
CONDITIONS = {
    "starting": ("off", "○", mark("starting")),
    "waiting": ("", "●", mark("ready, waiting")),
    "connected": ("ok", "●", mark("connected")),
    "measuring": ("ok", "◌", mark("measuring")),
    "silent": ("off", "○", mark("does not answer")),
    "lost": ("off", "○", mark("not there")),
    "failed": ("check", "!", mark("out of order")),
}
"""Card style, shape and word of each condition; being away is grey, never red."""


@dataclass(frozen=True)
class Viewer:
    """Who looks: their language and the operator's name, if it is known."""

    language: Language
    operator: str


class Views:
    """The pages' contents for one viewer, at one moment."""

    def __init__(self, here: Context, viewer: Viewer) -> None:
        devices = here.service.devices()
        self.reach = here.service.reach()
        self.faults = here.faults()
        self.queries: Queries = here.queries
        self.zone = ZoneInfo(here.config.timezone)
        self.now = datetime.now(UTC)
        self.language = viewer.language
        self.operator = viewer.operator
        self.devices = devices
        self.bringing = here.service.bringing
        self.front = here.service.front()
        self.scene = Scene(self.language, self.zone, self.now, devices)

    def person(self, typed: Mapping[str, str] | None = None) -> dict[str, object]:
        """Return the form that opens an exam, and who is open."""
        systems = {system: self.language.say(name) for system, name in SYSTEMS.items()}
        empty = {"system": "cn-id", "number": "", "name": ""}
        return {
            "exams": self.open_exams(),
            "reader": any(not device.kinds for device in self.devices),
            "systems": systems,
            "typed": empty | dict(typed or {}),
            "operator": self.operator,
        }

    def exam(self, wanted: str | None) -> dict[str, object]:
        """Return the exam asked for, else that of whoever came last; without any, the form."""
        chosen = self.queries.exam(wanted) if wanted else self._first()
        if chosen is None:
            return self.person() | self.card() | {"exam": None}
        shown = cards(self.scene, self.queries.exam_measurements(chosen.id))
        exams = self.open_exams()
        measuring = [one for one in self.devices if one.kinds] if len(exams) > 1 else []
        pointing = [(one.name, one.pointed_at == chosen.id) for one in measuring]
        return self.card() | {
            "shows": chosen,
            "exam": self._about(chosen),
            "operator": self.operator,
            "exams": exams,
            "cards": shown,
            "orders": [order for card in shown for order in card.orders],
            "step": next_step(self.scene, shown),
            "pointing": pointing,
        }

    def card(self) -> dict[str, object]:
        """Return what is said of a card on a reader: whose it is, or why it opened nothing."""
        for device in self.devices:
            exam = self.queries.exam(device.recognised) if device.recognised else None
            if exam is not None and exam.closed is None:
                about = self._about(exam)
                shown = " ".join(filter(None, (str(about["name"]), str(about["number"]))))
                text = self.language.say(mark("Card read: {person}. Take the card away."), person=shown)
                return {"card": {"text": text, "fault": False, "exam": exam.id}}
            if not device.kinds and device.code and device.condition == "connected":
                text = messages.text(device.code, self.language.tag)
                return {"card": {"text": text, "fault": True, "exam": ""}}
        return {"card": None}

    def _first(self) -> Exam | None:
        """Return the open exam of whoever came last."""
        standing = self.queries.exams(open=True)
        return next((one for one in standing if one.id == self.front), next(iter(standing), None))

    def open_exams(self) -> list[dict[str, object]]:
        """Return who is open, newest first, masked."""
        return [self._about(exam) for exam in self.queries.exams(open=True)]

    def _about(self, exam: Exam) -> dict[str, object]:
        say = self.language.say
        resident = self.queries.resident(exam.resident)
        sex = {"male": mark("male"), "female": mark("female")}.get((resident and resident.sex) or "")
        age = years(resident.birth_date if resident else None, self.now.astimezone(self.zone).date())
        about = [say(sex)] if sex else []
        about += [self.language.count("{n} year old", "{n} years old", age)] if age is not None else []
        first = next(iter(resident.identifiers), None) if resident else None
        since = clock_time(exam.opened.utc, self.zone, self.now)
        return {
            "id": exam.id,
            "name": masked_name(resident.name if resident else None),
            "about": " · ".join(about),
            "number": masked_number(first.value) if first else "",
            "since": say(mark("since {time}"), time=since),
            "closed": exam.closed is not None,
        }

    def tray(self) -> dict[str, object]:
        """Return the measurements that belong to nobody yet, newest first."""
        rows = [
            {
                "id": one.id,
                "title": self.language.say(KINDS.get(one.kind, one.kind)),
                "shown": failure(self.language, one.failed)
                if one.failed
                else listed(self.language, one.values),
                "source": source(self.scene, one),
                "why": self._why(one),
            }
            for one in self.queries.tray(TRAY_LIMIT)
        ]
        return {"rows": rows, "exams": self.open_exams(), "operator": self.operator}

    def _why(self, one: Measurement) -> list[str]:
        """Return why it lies here, and what else the rules found."""
        known = messages.known_codes()
        codes = [one.bind_reason or "", *(f"finding.{finding.rule}" for finding in one.findings)]
        said = [messages.text(code, self.language.tag) for code in codes if code in known]
        typed = one.bind_reason if one.bind_reason and one.bind_reason not in known else None
        return [typed, *said] if typed else said

    def machines(self) -> dict[str, object]:
        """Return every machine in words."""
        return {"rows": [self._machine(device) for device in self.devices]}

    def _machine(self, device: DeviceState) -> dict[str, object]:
        tone, shape, word = CONDITIONS[device.condition]
        say, identity = self.language.say, SYSTEMS["cn-id"]
        return {
            "name": device.name,
            "kinds": " · ".join(say(KINDS.get(kind, kind)) for kind in device.kinds) or say(identity),
            "tone": "check" if device.code and tone == "ok" else tone,
            "shape": shape,
            "condition": say(word),
            "advice": messages.text(device.code, self.language.tag) if device.code else "",
            "facts": [
                *self._heard(device),
                *self._clock(device),
                *self._noise(device),
                *self._wear(device),
                f"{device.driver} · {device.port}",
            ],
        }

    def _heard(self, device: DeviceState) -> list[str]:
        if device.last_heard is None:
            return [self.language.say(mark("never heard"))]
        moment = datetime.fromisoformat(device.last_heard)
        return [self.language.say(mark("last heard {time}"), time=clock_time(moment, self.zone, self.now))]

    def _clock(self, device: DeviceState) -> list[str]:
        offset = device.clock_offset_s
        if offset is None:
            return []
        if abs(offset) <= verification.tolerance_s():
            return [self.language.say(mark("its clock is right"))]
        message = mark("its clock is {span} fast") if offset > 0 else mark("its clock is {span} slow")
        return [self.language.say(message, span=span(self.language, offset))]

    def _wear(self, device: DeviceState) -> list[str]:
        """Return what its history tells a technician; nothing where it works as ever."""
        days, passport = self.queries.device_days(device.name), self.queries.passport(device.name)
        return [
            messages.text(sign.code, self.language.tag, evidence=sign.evidence)
            for sign in wear.signs(days, passport, self.now.date())
            if sign.weight != "good"
        ]

    def _noise(self, device: DeviceState) -> list[str]:
        if not device.noise_bytes:
            return []
        return [
            self.language.count("{n} byte not understood", "{n} bytes not understood", device.noise_bytes)
        ]
