"""What a person does to exams and measurements, as commands on the journal; all or nothing each."""

from zoneinfo import ZoneInfo

from drivers import catalogue
from gateway import identifiers, receiving
from gateway.service import ExamRequest
from protocol.errors import RequestRefused
from protocol.readings import CardRead
from store.exams import Exam
from store.facts import (
    VERIFIED,
    Bound,
    DevicePointed,
    ExamClosed,
    ExamOpened,
    Measurement,
    Reissued,
    Resent,
    Voided,
)
from store.journal import Transaction
from store.residents import Identifier, Resident


def open_exam(tx: Transaction, request: ExamRequest) -> str:
    """Open an exam for a resident found or made by their identifiers; return its id."""
    return _opened(tx, _resident(tx, request), request.operator)


def of_card(card: CardRead, device: str) -> ExamRequest:
    """Return the exam a card asks for: its holder's number, name, sex and birth date, and nothing else of it.

    Nobody has signed: `card:` and the reader's name stand for the operator, as `rule:` does where a reading
    was bound by itself. Whoever finishes the exam signs.
    """
    return ExamRequest(
        [Identifier(card.system, card.number)],
        card.name,
        f"card:{device}",
        card.sex,
        card.birth_date.isoformat(),
    )


def recognise(tx: Transaction, request: ExamRequest, *, measuring: bool) -> str:
    """Return the open exam of a card's holder, opening one where there is none.

    While a machine is *measuring* nobody else is opened beside a person who is: the result would belong to
    nobody for certain. Code `exam.measuring`.
    """
    resident = _resident(tx, request)
    standing = tx.open_exams()
    for exam in standing:
        if exam.resident == resident.id:
            return exam.id
    if measuring and standing:
        raise RequestRefused("a measurement is running", code="exam.measuring")
    return _opened(tx, resident, request.operator)


def _resident(tx: Transaction, request: ExamRequest) -> Resident:
    given = identifiers.checked(request.identifiers)
    if not given and not (request.name or "").strip():
        raise RequestRefused("a name or an identifier is needed", code="id.missing")
    sex, born = request.sex, request.birth_date
    for identifier in given:
        if identifier.system == identifiers.CN_ID:
            sex = "male" if identifiers.is_male(identifier.value) else "female"
            born = str(identifiers.birth_date(identifier.value))
    return tx.resident_for(given, request.name, sex, born)


def _opened(tx: Transaction, resident: Resident, operator: str) -> str:
    exam = f"e-{tx.next_id}"
    tx.append(ExamOpened(exam=exam, resident=resident.id, operator=operator))
    return exam


def close_exam(tx: Transaction, exam_id: str, operator: str) -> None:
    """Close an exam; one that is closed stays as it is."""
    if _exam(tx, exam_id).closed is None:
        tx.append(ExamClosed(exam=exam_id, operator=operator))


def point(tx: Transaction, device: str, exam_id: str | None, operator: str) -> None:
    """Let *device* measure the person of this open exam (None: whoever is open)."""
    if exam_id is not None and _exam(tx, exam_id).closed is not None:
        raise RequestRefused(exam_id, code="exam.closed")
    tx.append(DevicePointed(device=device, exam=exam_id, operator=operator))


def bind(
    tx: Transaction, measurement_id: str, exam_id: str | None, *, operator: str, reason: str, zone: ZoneInfo
) -> str:
    """Bind, re-bind or send back to the tray; return the id that now stands for the measurement.

    What was never final is bound anew. What was final and goes elsewhere is withdrawn (entered-in-error) and
    a new measurement takes its evidence over, both in this transaction (STANDARDS §1.5).
    """
    if not reason.strip():
        raise RequestRefused("say why", code="bind.reason")
    measurement = tx.measurement(measurement_id)
    if measurement is None or measurement.status == "entered-in-error":
        raise RequestRefused(measurement_id, code="measurement.unknown")
    exam = _exam(tx, exam_id) if exam_id is not None else None
    if exam is not None and measurement.exam == exam.id and measurement.status in VERIFIED:
        return measurement_id
    if measurement.status in VERIFIED:
        measurement_id = _reissue(tx, measurement, operator, reason)
    tx.append(
        Bound(
            measurement=measurement_id,
            exam=exam.id if exam else None,
            resident=exam.resident if exam else None,
            by=operator,
            reason=reason,
        )
    )
    driver = catalogue.every().get(measurement.driver or "")
    receiving.judge(
        tx,
        measurement_id,
        machine_range=driver.machine_range if driver else {},
        zone=zone,
        repeats=receiving.repeats_of(measurement),
        confirmed_by=operator if exam else None,
    )
    return measurement_id


def resend(tx: Transaction, forwarder: str, measurement_id: str, operator: str) -> None:
    """Let a parked delivery wait again. Code `delivery.unknown` where nothing is parked."""
    if not tx.resend(forwarder, measurement_id):
        raise RequestRefused(measurement_id, code="delivery.unknown")
    tx.append(Resent(measurement=measurement_id, forwarder=forwarder, operator=operator))


def _reissue(tx: Transaction, old: Measurement, operator: str, reason: str) -> str:
    """Withdraw *old* and give its evidence and times a new measurement; return the new id."""
    new = tx.next_id
    tx.append(Reissued(measurement=new, of=old.id, by=operator, reason=reason))
    tx.append(Voided(measurement=old.id, by=operator, reason=reason, replaced_by=new))
    return new


def _exam(tx: Transaction, exam_id: str) -> Exam:
    exam = tx.exam(exam_id)
    if exam is None:
        raise RequestRefused(exam_id, code="exam.unknown")
    return exam
