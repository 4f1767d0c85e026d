"""Facts become measurements: identity, versions, binding, withdrawal, and what a command sees of its own."""

import re

import msgspec
import pytest
from journal_making import bound, final, heard, judged, opened, pressure, visit

from protocol.errors import RequestRefused
from store.facts import (
    Bound,
    Corrected,
    Derived,
    DevicePointed,
    ExamClosed,
    ExamOpened,
    ItemSkipped,
    ManualEntry,
    Measurement,
    Reissued,
    Value,
    Voided,
)

ID = re.compile(r"[A-Za-z0-9.-]{1,64}")


def do(journal, command):
    return journal.submit(command).result(10)


def now(journal, key) -> Measurement:
    return journal.queries.measurement(key)


def test_a_reading_is_preliminary_unjudged_and_in_the_tray(journal):
    key = do(journal, heard)
    found = now(journal, key)
    assert (found.version, found.status, found.source) == (1, "preliminary", "machine")
    assert (found.effective.time, found.effective.quality, found.effective.rule) == (
        None,
        "unknown",
        "not judged",
    )
    assert found.values == pressure()
    # The bytes 02 12 03 through `sha256sum`.
    assert found.evidence_sha256 == "09bf9d45ae90163885dfdad2b4e6bba17b642e267967ac0583c8a25489a6324e"
    assert [one.id for one in journal.queries.tray()] == [key]


def test_one_command_makes_one_version_of_each_measurement_it_touches(journal):
    exam = do(journal, visit)

    def two(tx):
        return final(tx, exam), final(tx, exam, pressure(140))

    first, second = do(journal, two)
    assert [now(journal, key).version for key in (first, second)] == [1, 1]
    do(journal, lambda tx: judged(tx, first))
    versions = [msgspec.json.decode(one) for one in journal.queries.versions(first)]
    assert [(one["version"], one["status"]) for one in versions] == [(1, "final"), (2, "final")]
    assert versions[0]["recorded"]["boottime_ns"] < versions[1]["recorded"]["boottime_ns"]
    assert now(journal, second).version == 1


def test_two_readings_of_the_same_moment_with_equal_values_are_two(journal):
    first, second = do(journal, lambda tx: (heard(tx), heard(tx)))
    assert first != second
    assert len(journal.queries.tray()) == 2
    assert all(ID.fullmatch(key) for key in (first, second))


def test_a_box_set_up_anew_under_its_old_name_gives_other_ids(tmp_path):
    keys = []
    for folder in ("old", "new"):
        journal = opened(tmp_path / folder, gateway="clinic-7")
        keys.append(do(journal, heard))
        journal.close()
    assert keys[0] != keys[1]
    assert all(key.startswith("clinic-7-") for key in keys)


def test_a_record_of_a_known_machine_has_the_same_id_at_every_gateway(tmp_path):
    keys = []
    for gateway in ("east", "west"):
        journal = opened(tmp_path / gateway, gateway=gateway)
        keys.append(do(journal, lambda tx: heard(tx, record="0017", serial="S-1")))
        keys.append(do(journal, lambda tx: heard(tx, record="0017", device="other")))
        journal.close()
    assert keys[0] == keys[2]
    assert keys[1] != keys[3]
    assert len(set(keys)) == 3
    assert all(ID.fullmatch(key) for key in keys)


@pytest.mark.parametrize(
    ("first", "again", "same"),
    [
        (("bp", "S-1"), ("bp", "S-1"), True),
        (("bp", "S-1"), ("bp-2", "S-1"), True),  # carried to another port
        (("bp", None), ("bp", "S-1"), True),  # its number was not learnt the first time
        (("bp", "S-1"), ("bp", None), True),  # nor this time
        (("bp", None), ("bp", None), True),
        (("bp", "S-1"), ("bp", "S-2"), False),  # another machine on the same port
        (("bp", None), ("bp-2", None), False),
        (("bp", None), ("bp-2", "S-1"), False),
    ],
)
def test_a_record_read_again_is_known(journal, first, again, same):
    device, serial = first
    key = do(journal, lambda tx: heard(tx, device=device, serial=serial, record="17"))
    found = do(journal, lambda tx: tx.by_record(*again, "omron_hbp", "17"))
    assert (found.id if found else None) == (key if same else None)
    assert do(journal, lambda tx: tx.by_record(*again, "omron_hbp", "18")) is None
    assert do(journal, lambda tx: tx.by_record(*again, "another", "17")) is None


def test_a_machine_swapped_since_is_not_taken_for_the_old_one(journal):
    do(journal, lambda tx: heard(tx, record="17"))
    do(journal, lambda tx: heard(tx, record="1", serial="S-2"))
    assert do(journal, lambda tx: tx.by_record("bp", "S-3", "omron_hbp", "17")) is None


def test_what_was_bound_anew_is_a_new_measurement_that_its_record_finds(journal):
    wrong = do(journal, visit)
    right = do(journal, lambda tx: visit(tx, "110101189202020029", "李样"))

    def stored(tx):
        key = heard(tx, record="5", serial="S-1")
        bound(tx, key, wrong)
        judged(tx, key)
        return key

    old = do(journal, stored)

    def again(tx):
        new = tx.next_id
        tx.append(Reissued(measurement=new, of=old, by="doctor", reason="wrong person"))
        tx.append(Voided(measurement=old, by="doctor", reason="wrong person", replaced_by=new))
        bound(tx, new, right)
        judged(tx, new)
        return new

    new = do(journal, again)
    before, after = now(journal, old), now(journal, new)
    assert (before.status, before.replaced_by, before.version) == ("entered-in-error", new, 2)
    assert (after.status, after.replaces, after.version, after.exam) == ("final", old, 1, right)
    assert (after.values, after.received, after.evidence_sha256) == (
        before.values,
        before.received,
        before.evidence_sha256,
    )
    assert journal.queries.evidence(new)["frames"] == ["0212", "03"]
    assert do(journal, lambda tx: tx.by_record("bp", "S-1", "omron_hbp", "5")).id == new
    assert [one.id for one in do(journal, lambda tx: tx.similar("bp", "blood_pressure", pressure()))] == [new]
    assert journal.queries.check().problems == []


def test_a_withdrawn_measurement_stays_withdrawn_and_leaves_the_tray(journal):
    key = do(journal, heard)
    do(journal, lambda tx: tx.append(Voided(measurement=key, by="doctor", reason="a try", replaced_by=None)))
    do(journal, lambda tx: judged(tx, key))
    assert now(journal, key).status == "entered-in-error"
    assert journal.queries.tray() == []


def test_another_person_takes_verdict_and_derived_values_away(journal):
    exam = do(journal, visit)

    def size(tx):
        key = heard(
            tx, {"body_height": Value("170", "cm"), "body_weight": Value("65.0", "kg")}, reading="body_size"
        )
        bound(tx, key, exam)
        tx.append(Derived(measurement=key, measure="bmi", value=Value("22.5", "kg/m2"), sources=[key]))
        judged(tx, key)
        return key

    key = do(journal, size)
    assert now(journal, key).derived == {"bmi": Value("22.5", "kg/m2")}
    do(journal, lambda tx: bound(tx, key, None))
    found = now(journal, key)
    assert (found.status, found.derived, found.derived_from, found.resident) == ("preliminary", {}, [], None)
    assert [one.id for one in journal.queries.tray()] == [key]


def test_a_correction_keeps_the_evidence_and_says_corrected(journal):
    exam = do(journal, visit)
    key = do(journal, lambda tx: final(tx, exam))
    do(
        journal,
        lambda tx: tx.append(
            Corrected(measurement=key, values=pressure(130), operator="doctor", reason="cuff")
        ),
    )
    found = now(journal, key)
    assert (found.status, found.values["systolic"].value) == ("corrected", "130")
    assert journal.queries.evidence(key)["frames"] == ["0212", "03"]


def test_a_typed_value_is_never_machine_evidence(journal):
    exam = do(journal, visit)

    def typed(tx):
        resident = tx.exam(exam).resident
        key = tx.next_id
        tx.append(ManualEntry(key, exam, resident, "blood_pressure", pressure(), "doctor", "machine broken"))
        return key

    key = do(journal, typed)
    found = now(journal, key)
    assert (found.source, found.device, found.evidence_sha256, found.exam) == ("manual", None, None, exam)
    assert journal.queries.evidence(key)["frames"] == []
    assert do(journal, lambda tx: tx.similar("bp", "blood_pressure", pressure())) == []


def test_a_command_sees_what_it_did_itself(journal):
    exam = do(journal, visit)

    def command(tx):
        key = heard(tx)
        bound(tx, key, exam)
        resident = tx.exam(exam).resident
        assert [one.id for one in tx.measurements_of_exam(exam)] == [key]
        assert tx.last_of(resident, "systolic").id == key
        assert tx.last_of(resident, "glucose") is None
        assert [one.id for one in tx.similar("bp", "blood_pressure", pressure())] == [key]
        bound(tx, key, None)
        assert tx.measurements_of_exam(exam) == []
        assert tx.last_of(resident, "systolic") is None
        return tx.measurement(key)

    assert do(journal, command).resident is None


def test_the_last_of_a_measure_is_by_journal_order_and_never_withdrawn(journal):
    exam = do(journal, visit)
    resident = journal.queries.exam(exam).resident
    keys = [do(journal, lambda tx, n=n: final(tx, exam, pressure(n))) for n in (120, 121, 122)]
    do(journal, lambda tx: tx.append(Voided(measurement=keys[2], by="d", reason="r", replaced_by=None)))
    assert do(journal, lambda tx: tx.last_of(resident, "systolic")).id == keys[1]


def test_similar_means_equal_to_the_last_digit(journal):
    do(journal, lambda tx: heard(tx, {"glucose": Value("5.60", "mmol/L")}, reading="glucose"))
    for other in (Value("5.6", "mmol/L"), Value("5.60", "mg/dL"), Value("5.60", "mmol/L", ">")):
        assert do(journal, lambda tx, v=other: tx.similar("bp", "glucose", {"glucose": v})) == []
    assert do(journal, lambda tx: tx.similar("bp-2", "glucose", {"glucose": Value("5.60", "mmol/L")})) == []
    assert len(do(journal, lambda tx: tx.similar("bp", "glucose", {"glucose": Value("5.60", "mmol/L")}))) == 1


def test_exams_open_close_and_keep_what_was_skipped(journal):
    first, second = do(journal, visit), do(journal, lambda tx: visit(tx, "110101189202020029", "李样"))
    do(
        journal,
        lambda tx: tx.append(ItemSkipped(exam=first, reading="glucose", reason="refused", operator="d")),
    )
    assert [one.id for one in do(journal, lambda tx: tx.open_exams())] == [first, second]
    do(journal, lambda tx: tx.append(ExamClosed(exam=first, operator="doctor")))
    closed = journal.queries.exam(first).closed
    do(journal, lambda tx: tx.append(ExamClosed(exam=first, operator="doctor")))
    assert journal.queries.exam(first).closed == closed
    assert [one.id for one in journal.queries.exams()] == [second]
    assert [one.id for one in journal.queries.exams(open=False)] == [second, first]
    assert [(item.reading, item.reason) for item in journal.queries.exam(first).skipped] == [
        ("glucose", "refused")
    ]
    assert do(journal, lambda tx: tx.latest_order()) == do(journal, lambda tx: tx.exam(second)).opened_seq


def test_a_device_is_pointed_at_open_exams_only(journal):
    exam = do(journal, visit)
    do(journal, lambda tx: tx.append(DevicePointed(device="bp", exam=exam, operator="doctor")))
    assert do(journal, lambda tx: tx.pointed("bp")) == exam
    assert do(journal, lambda tx: tx.pointed("scale")) is None
    do(journal, lambda tx: tx.append(ExamClosed(exam=exam, operator="doctor")))
    assert do(journal, lambda tx: tx.pointed("bp")) is None


@pytest.mark.parametrize(
    ("code", "command"),
    [
        ("measurement.unknown", lambda tx: judged(tx, "gone")),
        (
            "measurement.unknown",
            lambda tx: tx.append(Reissued(measurement="n", of="gone", by="d", reason="r")),
        ),
        ("measurement.known", lambda tx: (heard(tx, record="1"), heard(tx, record="1"))),
        ("exam.unknown", lambda tx: tx.append(ExamClosed(exam="gone", operator="doctor"))),
        ("exam.unknown", lambda tx: tx.append(Bound(heard(tx), "gone", "r-1", "doctor", "reason"))),
        ("exam.unknown", lambda tx: tx.append(Bound(heard(tx), visit(tx), "r-1", "doctor", "not theirs"))),
        ("exam.unknown", lambda tx: tx.append(Bound(heard(tx), None, "r-1", "doctor", "no exam"))),
        (
            "exam.known",
            lambda tx: [tx.append(ExamOpened(exam="e", resident="r", operator="d")) for _ in "ab"],
        ),
    ],
)
def test_a_fact_about_what_cannot_be_is_refused_and_nothing_is_written(journal, code, command):
    with pytest.raises(RequestRefused) as refused:
        do(journal, command)
    assert refused.value.code == code
    assert journal.queries.counts().facts == 0
