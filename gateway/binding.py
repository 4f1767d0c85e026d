"""Whose reading is this? Never a guess: one person for certain, or the unbound tray (SCREENS §2)."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.clock import earlier
from store.facts import Instant


@dataclass(frozen=True, slots=True)
class OpenExam:
    """An exam that is open now; `order` grows with every exam opened on this box."""

    id: str
    resident: str
    opened: Instant
    order: int


@dataclass(frozen=True, slots=True)
class BindingCase:
    """What is known when a reading arrives; `latest_order` is that of the exam opened last of all."""

    stored: bool
    began: Instant
    open_exams: Sequence[OpenExam]
    pointed: str | None
    latest_order: int


@dataclass(frozen=True, slots=True)
class Decision:
    """The exam it binds to, or None for the tray; `code` names the rule or the reason."""

    exam: OpenExam | None
    code: str


def decide(case: BindingCase) -> Decision:
    """Return whose reading it is.

    A reading from a device's memory is never bound by itself; a device pointed at a person measures that
    person; else exactly one exam must be open, opened before the measurement began, and none opened since.
    """
    if case.stored:
        return Decision(None, "tray.stored")
    if case.pointed is not None:
        return _pointed(case)
    if not case.open_exams:
        return Decision(None, "tray.no_exam")
    if len(case.open_exams) > 1:
        return Decision(None, "tray.several_exams")
    [only] = case.open_exams
    if only.order != case.latest_order:
        return Decision(None, "tray.other_opened")
    if not earlier(only.opened, case.began):
        return Decision(None, "tray.before_exam")
    return Decision(only, "bind.one_open_exam")


def _pointed(case: BindingCase) -> Decision:
    for exam in case.open_exams:
        if exam.id == case.pointed:
            if earlier(exam.opened, case.began):
                return Decision(exam, "bind.pointed")
            return Decision(None, "tray.before_exam")
    return Decision(None, "tray.pointed_closed")
