"""What waits, in what order, and what an answer, a refusal, a newer version or a withdrawal does to it."""

import pytest
from journal_making import bound, final, heard, judged, opened, pressure, visit

from protocol.errors import RequestRefused
from store.facts import Derived, Value, Voided


def do(journal, command):
    return journal.submit(command).result(10)


def waiting(journal, forwarder="fhir"):
    return [(one.measurement.id, one.measurement.version) for one in journal.queries.due(forwarder, 100)]


def void(tx, key):
    tx.append(Voided(measurement=key, by="doctor", reason="a try", replaced_by=None))


def three_final(journal):
    exam = do(journal, visit)
    return [do(journal, lambda tx, n=n: final(tx, exam, pressure(n))) for n in (120, 121, 122)]


def test_only_final_measurements_wait_in_journal_order(journal):
    do(journal, heard)
    keys = three_final(journal)
    assert waiting(journal) == [(key, 1) for key in keys]
    assert waiting(journal, "nobody") == []
    due = journal.queries.due("fhir", 2)
    assert [one.measurement.id for one in due] == keys[:2]
    assert {(one.resident.name, one.resident.identifiers[0].value) for one in due} == {
        ("张试", "110101189001010016")
    }
    assert [(one.receipt, one.sources, one.attempts) for one in due] == [({}, [], 0)] * 2


def test_a_delivered_one_waits_no_more_and_its_receipt_comes_with_the_next_version(journal):
    key, *others = three_final(journal)
    do(journal, lambda tx: tx.delivered("fhir", key, 1, {"Observation": "7"}))
    assert waiting(journal) == [(other, 1) for other in others]
    do(journal, lambda tx: judged(tx, key, "corrected"))
    assert waiting(journal) == [*((other, 1) for other in others), (key, 2)]
    assert journal.queries.due("fhir", 9)[-1].receipt == {"Observation": "7"}
    counts = journal.queries.outbox_counts()["fhir"]
    assert (counts.waiting, counts.parked, counts.delivered) == (3, 0, 0)


def test_an_answer_told_twice_is_written_once(journal):
    key, *_ = three_final(journal)
    facts = journal.queries.counts().facts
    for _ in range(2):
        do(journal, lambda tx: tx.delivered("fhir", key, 1, {"Observation": "7"}))
    assert journal.queries.counts().facts == facts + 1
    assert journal.queries.measurement(key).version == 1


def test_only_the_latest_version_waits_even_if_the_older_one_is_answered(journal):
    key, *_ = three_final(journal)
    do(journal, lambda tx: judged(tx, key))
    do(journal, lambda tx: tx.delivered("fhir", key, 1, {"Observation": "7"}))
    assert (key, 2) in waiting(journal)
    assert (key, 1) not in waiting(journal)
    do(journal, lambda tx: tx.parked("fhir", key, 1, "late"))
    assert (key, 2) in waiting(journal)


def test_refusals_are_counted_parked_shown_and_sent_again(journal):
    key, *others = three_final(journal)
    assert [do(journal, lambda tx: tx.attempted("fhir", key, 1, "422")) for _ in range(3)] == [1, 2, 3]
    assert do(journal, lambda tx: tx.attempted("fhir", key, 9, "422")) == 0
    do(journal, lambda tx: tx.parked("fhir", key, 1, "422: code unknown"))
    assert waiting(journal) == [(other, 1) for other in others]
    (shown,) = journal.queries.deliveries("parked")
    assert (shown.forwarder, shown.measurement, shown.version, shown.reason) == (
        "fhir",
        key,
        1,
        "422: code unknown",
    )
    assert do(journal, lambda tx: tx.resend("fhir", others[0])) is False
    assert do(journal, lambda tx: tx.resend("fhir", key)) is True
    assert waiting(journal)[0] == (key, 1)
    assert journal.queries.due("fhir", 1)[0].attempts == 0
    assert journal.queries.deliveries("parked") == []


def test_a_withdrawal_is_sent_only_where_the_measurement_ever_waited(journal):
    sent, *_ = three_final(journal)
    never = do(journal, heard)
    do(journal, lambda tx: tx.delivered("fhir", sent, 1, {"Observation": "7"}))
    do(journal, lambda tx: (void(tx, sent), void(tx, never)))
    due = {one.measurement.id: one for one in journal.queries.due("fhir", 9)}
    assert never not in due
    assert (due[sent].measurement.status, due[sent].receipt) == ("entered-in-error", {"Observation": "7"})


def test_what_is_no_longer_final_does_not_go_out_until_it_is_again(journal):
    key, *_ = three_final(journal)
    exam = journal.queries.measurement(key).exam
    do(journal, lambda tx: bound(tx, key, None))
    assert key not in dict(waiting(journal))
    do(journal, lambda tx: (bound(tx, key, exam), judged(tx, key)))
    assert (key, 3) in waiting(journal)


def test_a_withdrawal_goes_out_for_the_person_it_was_sent_for(journal):
    key, *_ = three_final(journal)
    do(journal, lambda tx: tx.delivered("fhir", key, 1, {}))
    do(journal, lambda tx: bound(tx, key, None))
    do(journal, lambda tx: void(tx, key))
    (due,) = [one for one in journal.queries.due("fhir", 9) if one.measurement.id == key]
    assert (due.measurement.resident, due.resident.name) == (None, "张试")


def test_the_sources_of_a_derived_value_come_along(journal):
    exam = do(journal, visit)
    height = do(journal, lambda tx: final(tx, exam, {"body_height": Value("170", "cm")}))

    def weighed(tx):
        key = heard(tx, {"body_weight": Value("65.0", "kg")}, reading="body_size")
        bound(tx, key, exam)
        tx.append(
            Derived(measurement=key, measure="bmi", value=Value("22.5", "kg/m2"), sources=[height, key])
        )
        judged(tx, key)
        return key

    weight = do(journal, weighed)
    assert [one.id for one in journal.queries.due("fhir", 9)[-1].sources] == [height, weight]


def test_a_forwarder_that_is_new_or_back_is_owed_what_it_missed(tmp_path):
    journal = opened(tmp_path, forwarders=())
    keys = three_final(journal)
    journal.close()
    journal = opened(tmp_path, forwarders=("fhir",))
    assert waiting(journal) == [(key, 1) for key in keys]
    for key in keys:
        do(journal, lambda tx, key=key: tx.delivered("fhir", key, 1, {}))
    journal.close()
    journal = opened(tmp_path, forwarders=("county",))
    do(journal, lambda tx: judged(tx, keys[1]))
    assert waiting(journal, "county") == [(keys[0], 1), (keys[2], 1), (keys[1], 2)]
    assert journal.queries.outbox_counts().keys() == {"county"}
    journal.close()
    journal = opened(tmp_path, forwarders=("fhir", "county"))
    assert waiting(journal) == [(keys[1], 2)]
    assert len(waiting(journal, "county")) == 3
    journal.close()


def test_an_unknown_delivery_is_refused(journal):
    key = do(journal, heard)
    for command in (lambda tx: tx.delivered("fhir", key, 1, {}), lambda tx: tx.parked("fhir", key, 1, "no")):
        with pytest.raises(RequestRefused) as refused:
            do(journal, command)
        assert refused.value.code == "delivery.unknown"


def test_counts_and_lists_agree(journal):
    first, second, third = three_final(journal)
    do(journal, lambda tx: tx.delivered("fhir", first, 1, {"Observation": "1"}))
    do(journal, lambda tx: tx.parked("fhir", second, 1, "no"))
    counts = journal.queries.outbox_counts()["fhir"]
    assert (counts.waiting, counts.parked, counts.delivered) == (1, 1, 1)
    assert counts.oldest_waiting == journal.queries.measurement(third).recorded
    for state, key in (("delivered", first), ("parked", second), ("waiting", third)):
        assert [one.measurement for one in journal.queries.deliveries(state)] == [key]
