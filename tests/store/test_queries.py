"""Pages, cursors, filters, evidence and lists; and that none of them walks the whole journal."""

import hashlib
import json
import sqlite3
from pathlib import Path

import pytest
from journal_making import final, heard, judged, visit

from protocol.errors import RequestRefused, StoreError
from store.facts import Bound, DeviceEvent, Value
from store.queries import Queries


def do(journal, command):
    return journal.submit(command).result(10)


def pulled(journal, limit, **filters):
    """Follow the cursor to the end; return (id, version) of all that came."""
    found, after, more = [], None, True
    while more:
        documents, after, more = journal.queries.page(after, limit, **filters)
        assert len(documents) <= limit
        found += [(one["id"], one["version"]) for one in map(json.loads, documents)]
    return found, after


def test_every_version_comes_in_journal_order_whatever_the_page(journal):
    exam = do(journal, visit)
    keys = [do(journal, lambda tx: final(tx, exam)) for _ in range(7)]
    do(journal, lambda tx: judged(tx, keys[2]))
    expected = [*((key, 1) for key in keys), (keys[2], 2)]
    for limit in (1, 2, 3, 8, 100):
        assert pulled(journal, limit)[0] == expected


def test_a_cursor_goes_on_where_it_stood_however_much_came_since(journal):
    exam = do(journal, visit)
    first = [do(journal, lambda tx: final(tx, exam)) for _ in range(5)]
    _documents, cursor, more = journal.queries.page(None, 3)
    assert more
    _, end = pulled(journal, 3)
    later = [do(journal, lambda tx: final(tx, exam)) for _ in range(4)]
    assert [json.loads(one)["id"] for one in journal.queries.page(cursor, 100)[0]] == first[3:] + later
    assert [json.loads(one)["id"] for one in journal.queries.page(end, 100)[0]] == later
    assert [json.loads(one)["id"] for one in journal.queries.page(None, 3)[0]] == first[:3]


def test_an_empty_journal_gives_a_cursor_that_later_works(journal):
    documents, cursor, more = journal.queries.page(None, 10)
    assert (documents, more) == ([], False)
    key = do(journal, heard)
    assert [json.loads(one)["id"] for one in journal.queries.page(cursor, 10)[0]] == [key]
    filtered = journal.queries.page(None, 10, status="final")
    assert filtered[0] == []
    assert journal.queries.page(filtered[1], 10)[0] == []


def test_the_resident_is_in_the_document_and_null_where_there_is_none(journal):
    exam = do(journal, visit)
    odd = {"glucose": Value("5.60", "mmol/L")}
    do(journal, lambda tx: final(tx, exam, odd))
    do(journal, heard)
    known, unknown = map(json.loads, journal.queries.page(None, 10)[0])
    assert known["resident"]["name"] == "张试"
    assert known["resident"]["identifiers"] == [{"system": "cn-id", "value": "110101189001010016"}]
    assert known["values"] == {"glucose": {"value": "5.60", "unit": "mmol/L"}}
    assert unknown["resident"] is None


def test_a_text_that_looks_like_our_json_changes_nothing(journal):
    exam = do(journal, visit)

    def command(tx):
        key = heard(tx)
        resident = tx.exam(exam).resident
        tx.append(Bound(key, exam, resident, 'x","resident":null,"y":"', '"resident":null'))
        return key

    key = do(journal, command)
    found = json.loads(journal.queries.measurement_document(key))
    assert (found["bind_reason"], found["bound_by"]) == ('"resident":null', 'x","resident":null,"y":"')
    assert found["resident"]["name"] == "张试"


def test_filters(journal):
    exam = do(journal, visit)
    other = do(journal, lambda tx: visit(tx, "110101189202020029", "李样"))
    a = do(journal, lambda tx: final(tx, exam))
    b = do(journal, lambda tx: final(tx, other))
    c = do(journal, lambda tx: heard(tx, {"glucose": Value("5.6", "mmol/L")}, reading="glucose"))
    assert pulled(journal, 1, status="final")[0] == [(a, 1), (b, 1)]
    assert pulled(journal, 1, kind="glucose")[0] == [(c, 1)]
    assert pulled(journal, 1, kind="glucose", status="final")[0] == []
    for identifier in ("110101189202020029", ("cn-id", "110101189202020029")):
        assert pulled(journal, 1, resident_identifier=identifier)[0] == [(b, 1)]
        assert pulled(journal, 1, resident_identifier=identifier, status="preliminary")[0] == []
    assert pulled(journal, 1, resident_identifier=("health-record", "110101189202020029"))[0] == []


def test_a_filtered_page_looks_through_a_bounded_window_and_goes_on(journal, monkeypatch):
    monkeypatch.setattr("store.queries.WINDOW", 5)
    exam = do(journal, visit)
    [do(journal, heard) for _ in range(30)]
    last = do(journal, lambda tx: final(tx, exam))
    documents, _cursor, more = journal.queries.page(None, 10, status="final")
    assert (documents, more) == ([], True)
    assert pulled(journal, 10, status="final")[0] == [(last, 1)]


@pytest.mark.parametrize("cursor", ["", "v1-", "v1-x", "7", "v1--3", "v1-٣", "v1-" + "9" * 19])
def test_a_cursor_that_was_never_given_out_is_refused(journal, cursor):
    with pytest.raises(RequestRefused) as refused:
        journal.queries.page(cursor, 10)
    assert refused.value.code == "request.cursor"


def test_one_measurement_and_its_versions(journal):
    exam = do(journal, visit)
    key = do(journal, lambda tx: final(tx, exam))
    do(journal, lambda tx: judged(tx, key, "corrected"))
    versions = [json.loads(one) for one in journal.queries.versions(key)]
    assert [(one["version"], one["status"]) for one in versions] == [(1, "final"), (2, "corrected")]
    assert json.loads(journal.queries.measurement_document(key)) == versions[1]
    assert json.loads(journal.queries.measurement_document(key, 1)) == versions[0]
    assert journal.queries.measurement_document(key, 3) is None
    assert journal.queries.measurement_document("gone") is None
    assert journal.queries.evidence("gone") is None


def test_evidence_can_be_checked_by_whoever_gets_it(journal):
    do(journal, heard)
    key = do(journal, heard)
    found = json.loads(json.dumps(journal.queries.evidence(key)))
    assert hashlib.sha256(bytes.fromhex("".join(found["frames"]))).hexdigest() == found["sha256"]
    facts = {one["seq"]: one for one in map(json.loads, journal.queries.facts())}
    fact = facts[found["seq"]]
    assert (fact["id"], fact["hash"], fact["prev"]) == (found["fact"], found["hash"], found["prev"])
    assert fact["body"]["evidence"] == found["frames"]
    assert fact["prev"] == facts[found["seq"] - 1]["hash"]


def test_the_chain_is_what_its_description_says(journal, tmp_path):
    """Recomputed here from the description alone: each part behind its length in four bytes, big-endian."""
    [do(journal, heard) for _ in range(3)]
    journal.close()
    raw = sqlite3.connect(tmp_path / "state/journal.db")
    key, public, signs = raw.execute("SELECT id, public, signs FROM keys").fetchone()
    before = hashlib.sha256(b"checkup-gateway root 1\x00" + key.encode() + public + signs).digest()
    for seq, key, at, body, body_hash, prev, digest in raw.execute(
        "SELECT seq, id, at, body, body_hash, prev, hash FROM facts ORDER BY seq"
    ):
        assert (prev, body_hash) == (before, hashlib.sha256(body).digest())
        covered = b""
        for part in (prev, seq.to_bytes(8, "big"), key.encode(), at, body_hash):
            covered += len(part).to_bytes(4, "big") + part
        assert digest == hashlib.sha256(covered).digest()
        before = digest
    raw.close()


def test_devices(journal):
    do(journal, lambda tx: heard(tx, serial="S-1"))
    do(journal, heard)
    heard_at = journal.queries.device_last_heard()["bp"]
    do(journal, lambda tx: tx.append(DeviceEvent(device="bp", code="link.lost", detail={})))
    assert journal.queries.device_last_heard() == {"bp": heard_at}
    do(journal, lambda tx: tx.append(DeviceEvent(device="bp", code="clock.read", detail={"offset_s": "3"})))
    assert journal.queries.device_last_heard()["bp"].boottime_ns > heard_at.boottime_ns
    assert journal.queries.device_serials() == {"bp": "S-1"}
    assert [one.code for one in journal.queries.device_events("bp", 10)] == ["clock.read", "link.lost"]
    assert journal.queries.device_events("scale", 10) == []


def test_counts(journal):
    exam = do(journal, visit)
    do(journal, lambda tx: final(tx, exam))
    do(journal, heard)
    counts = journal.queries.counts()
    assert (counts.facts, counts.measurements, counts.tray, counts.open_exams) == (
        5,
        {"blood_pressure": 2},
        1,
        1,
    )


def test_reading_works_beside_the_service_and_after_it(journal, tmp_path):
    key = do(journal, heard)
    path = tmp_path / "state/journal.db"
    for _ in range(2):
        beside = Queries(path)
        assert beside.measurement(key).id == key
        beside.close()
        journal.close()
    with pytest.raises(StoreError):
        Queries(Path("/nowhere/journal.db")).counts()


def test_no_query_walks_the_journal(journal):
    """Every statement a page, a list or a command uses finds its rows by an index, asked of SQLite itself."""
    exam = do(journal, visit)
    key = do(journal, lambda tx: final(tx, exam))
    seen: set[str] = set()
    small = {"devices", "forwarders", "tally", "head", "json_each"}
    with journal.queries._reading() as connection:
        connection.set_trace_callback(seen.add)
    queries = journal.queries
    for ask in (
        lambda: queries.page(None, 10),
        lambda: queries.page(None, 10, status="final", kind="glucose"),
        lambda: queries.page(None, 10, resident_identifier="110101189001010016"),
        lambda: (queries.measurement_document(key), queries.versions(key), queries.evidence(key)),
        lambda: (queries.tray(5), queries.exam(exam), queries.exams(), queries.exams(open=False)),
        lambda: (queries.exam_measurements(exam), queries.due("fhir", 5), queries.outbox_counts()),
        lambda: [queries.deliveries(state, 5) for state in ("waiting", "parked", "delivered")],
        lambda: (queries.device_events("bp", 5), queries.counts(), queries.device_last_heard()),
    ):
        ask()

    def traced(tx):
        tx._connection.set_trace_callback(seen.add)
        found = tx.measurement(final(tx, exam))
        tx.by_record("bp", None, "omron_hbp", "1")
        tx.last_of(found.resident, "systolic")
        tx.similar("bp", "blood_pressure", found.values)
        tx.attempted("fhir", key, 1, "no")
        tx.resend("fhir", key)
        tx._connection.set_trace_callback(None)

    do(journal, traced)
    walks = []
    with queries._reading() as connection:
        connection.set_trace_callback(None)
        for sql in seen:
            if sql.split()[0] not in {"SELECT", "UPDATE", "INSERT"}:
                continue
            for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {sql}"):
                table = step.split()[1] if step.startswith("SCAN") else ""
                if "TEMP B-TREE" in step or (table and table not in small and "USING" not in step):
                    walks.append((step, sql))
    assert len(seen) > 30
    assert walks == []
