"""Names under lock: a stolen file shows nobody; keys are lost, changed and found again, a person erased."""

import json
import sqlite3
import time
from pathlib import Path

import pytest
from journal_making import bound, final, heard, judged, opened, pressure, visit

from protocol.errors import RequestRefused, StoreError
from store import keyring
from store.facts import DeviceEvent, ExamClosed, KeyChanged, Received, ResidentErased, Voided
from store.keyring import Key
from store.queries import Queries
from store.residents import Identifier, Unnamed
from store.vault import Vault

NUMBER, NAME, BORN = "110101189001010016", "张试", "1890-01-01"
OTHER = ("110101189202020029", "李样")
RECORD = Identifier("health-record", "3703-000017")
EVENT = DeviceEvent(device="poct", code="astm.result", detail={"test": "HbA1c"})


def do(journal, command):
    return journal.submit(command).result(10)


def key_file(folder: Path) -> Path:
    return folder / "state-key" / "key"


def forms(text: str) -> set[bytes]:
    """Return a text as it may lie in a file: in any encoding of this country, and as hex of it."""
    found = {text.encode(one) for one in ("utf-8", "gb18030", "utf-16-le", "utf-16-be")}
    return found | {one.hex().encode() for one in found} | {one.hex().upper().encode() for one in found}


def naming(folder: Path, *texts: str) -> list[tuple[str, str]]:
    """Return which file under *folder* holds which of *texts*, in whatever form."""
    return [
        (path.name, text)
        for path in folder.rglob("*")
        if path.is_file()
        for text in texts
        if any(form in path.read_bytes() for form in forms(text))
    ]


def refused(journal, command) -> str:
    with pytest.raises(RequestRefused) as told:
        do(journal, command)
    return told.value.code


def rotated(folder: Path) -> tuple[bytes, bytes]:
    """Put a new key before the old one, as `journal rotate-key` does; return both."""
    (old,) = keyring.read(key_file(folder))
    new = keyring.new()
    keyring.replace(key_file(folder), [new, old])
    return new, old


def renew(journal, batch: int = 3) -> int:
    reached: int | None = 0
    while reached is not None:
        reached = do(journal, lambda tx, after=reached: tx.renew(after, batch))
    return do(journal, lambda tx: tx.left_to_renew())


def test_whoever_has_the_files_but_not_the_key_learns_nobody(tmp_path):
    journal = opened(tmp_path)
    exam = do(journal, visit)
    do(journal, lambda tx: tx.resident_for([Identifier("cn-id", NUMBER), RECORD]))
    do(journal, lambda tx: final(tx, exam))
    do(journal, heard)
    backup = tmp_path / "state" / "backup.db"
    journal.queries.backup(backup)
    export = tmp_path / "state" / "export"
    export.write_bytes(b"\n".join(journal.queries.facts()))
    texts = (NUMBER, NAME, BORN, "18900101", RECORD.value)
    assert (tmp_path / "state" / "journal.db-wal").stat().st_size > 0
    assert naming(tmp_path / "state", *texts) == []
    journal.close()
    assert naming(tmp_path / "state", *texts) == []
    assert keyring.read(key_file(tmp_path))[0].hex().encode() not in backup.read_bytes()
    stolen = Queries(backup)
    (document,) = [json.loads(one) for one in stolen.page()[0] if json.loads(one)["resident"]]
    assert (document["resident"]["name"], document["resident"]["hidden"]) == (None, "key_missing")
    assert stolen.check().problems == []
    stolen.close()


def test_a_backup_and_its_key_are_the_whole_journal(tmp_path):
    journal = opened(tmp_path)
    exam = do(journal, visit)
    do(journal, lambda tx: final(tx, exam))
    journal.queries.backup(tmp_path / "copy.db")
    page = journal.queries.page()[0]
    journal.close()
    copy = Queries(tmp_path / "copy.db", Vault(key_file(tmp_path)))
    assert copy.page()[0] == page
    assert copy.names_fault() is None
    copy.close()


def test_the_size_of_what_is_sealed_does_not_tell_names_apart(tmp_path):
    journal = opened(tmp_path)
    for number, name in ((NUMBER, "张试"), OTHER, ("110101189303030032", "欧阳试一")):
        do(journal, lambda tx, n=number, w=name: visit(tx, n, w))
    journal.close()
    raw = sqlite3.connect(tmp_path / "state/journal.db")
    assert len(raw.execute("SELECT DISTINCT length(sealed) FROM persons").fetchall()) == 1
    raw.close()


def test_a_start_makes_the_key_and_the_next_one_uses_it(tmp_path):
    opened(tmp_path).close()
    first = key_file(tmp_path).read_bytes()
    opened(tmp_path).close()
    assert key_file(tmp_path).read_bytes() == first


def test_an_open_folder_is_closed_to_others(tmp_path):
    (tmp_path / "state").mkdir(mode=0o755)
    (tmp_path / "state").chmod(0o755)
    journal = opened(tmp_path)
    do(journal, visit)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "state").iterdir()}
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert {"journal.db", "journal.db-wal", "journal.db-shm", "journal.db.lock"} == set(modes)
    assert set(modes.values()) == {0o600}
    journal.close()


def test_a_journal_that_cannot_be_given_a_key_is_not_begun(tmp_path):
    (tmp_path / "state-key").write_text("in the way")
    with pytest.raises(StoreError) as told:
        opened(tmp_path)
    assert told.value.code in {"vault.key_unwritable", "vault.key_unreadable"}
    (tmp_path / "state-key").unlink()
    opened(tmp_path).close()


@pytest.mark.parametrize("how", ["missing", "unreadable", "foreign"])
def test_without_the_key_measuring_goes_on_and_nothing_is_made_anew(tmp_path, how):
    journal = opened(tmp_path)
    exam = do(journal, visit)
    before = do(journal, lambda tx: final(tx, exam))
    do(journal, lambda tx: tx.resident_for([Identifier("cn-id", OTHER[0])], OTHER[1]))
    journal.close()
    path, kept = key_file(tmp_path), key_file(tmp_path).read_bytes()
    path.unlink()
    if how == "unreadable":
        path.write_text("rubbish")
    if how == "foreign":
        keyring.make(path)
    journal = opened(tmp_path)
    assert journal.queries.names_fault() == f"vault.key_{how}"
    assert path.exists() == (how != "missing")
    resident = journal.queries.exam(exam).resident
    assert journal.queries.resident(resident) == Unnamed(resident, hidden="key_missing")
    during = do(journal, lambda tx: final(tx, exam))
    assert journal.queries.measurement(during).status == "final"
    assert [one.id for one in journal.queries.exam_measurements(exam)] == [before, during]
    assert {json.loads(one)["resident"]["hidden"] for one in journal.queries.page()[0]} == {"key_missing"}
    assert journal.queries.page(resident_identifier=NUMBER)[0] == []
    assert journal.queries.due("fhir", 10) == []
    assert journal.queries.outbox_counts()["fhir"].waiting == 2
    for number in (NUMBER, "110101189303030032"):
        assert refused(journal, lambda tx, n=number: visit(tx, n)) == f"vault.key_{how}"
    assert journal.queries.check().problems == []
    path.write_bytes(kept)
    assert do(journal, visit).startswith("e-")
    assert journal.queries.names_fault() is None
    assert journal.queries.resident(resident).name == NAME
    assert [one.resident.name for one in journal.queries.due("fhir", 10)] == [NAME, NAME]
    journal.close()


def test_a_lost_key_is_replaced_by_a_persons_word_only_and_may_be_found_again(tmp_path):
    journal = opened(tmp_path)
    first = do(journal, visit)
    old = keyring.read(key_file(tmp_path))[0]
    key_file(tmp_path).unlink()
    assert refused(journal, lambda tx: tx.change_key("wang", "new")) == "vault.key_missing"
    journal.close()
    keyring.make(key_file(tmp_path))
    journal = opened(tmp_path)
    assert refused(journal, lambda tx: tx.change_key("wang", "new")) == "vault.key_foreign"
    name = do(journal, lambda tx: tx.change_key("wang", "the box was stolen", over_lost=True))
    again = do(journal, visit)
    lost, new = (journal.queries.exam(one).resident for one in (first, again))
    assert lost != new
    assert journal.queries.resident(lost) == Unnamed(lost, hidden="key_missing")
    assert journal.queries.resident(new).name == NAME
    fact = [json.loads(one)["body"] for one in journal.queries.facts()][1]
    assert {each: fact[each] for each in fact if each not in {"seals", "signs"}} == {
        "kind": "key_changed",
        "key": name,
        "lost": True,
        "operator": "wang",
        "reason": "the box was stolen",
    }
    keyring.replace(key_file(tmp_path), [*keyring.read(key_file(tmp_path)), old])
    do(journal, lambda tx: tx.look_for_key())
    assert journal.queries.resident(lost).name == NAME
    assert renew(journal) == 0
    assert journal.queries.resident(lost).name == NAME
    assert do(journal, lambda tx: tx.residents_with(NUMBER)) == [new]
    assert journal.queries.check().problems == []
    journal.close()


def test_the_key_is_changed_while_the_journal_is_used_and_what_was_cut_off_goes_on(tmp_path):
    journal = opened(tmp_path)
    exams = [do(journal, lambda tx, n=n: visit(tx, f"3703-{n}", f"试{n}")) for n in range(10)]
    secret = do(journal, lambda tx: tx.append(EVENT, b'{"frame":"00"}')).seq
    facts = list(journal.queries.facts())
    new, old = rotated(tmp_path)

    def everybody(journal):
        found = [journal.queries.resident(journal.queries.exam(one).resident) for one in exams]
        assert [one.name for one in found] == [f"试{n}" for n in range(10)]
        assert [do(journal, lambda tx, n=n: tx.residents_with(f"3703-{n}")) for n in range(10)] == [
            [one.id] for one in found
        ]
        assert journal.queries.device_events("poct")[0].detail == {"frame": "00"}

    assert do(journal, lambda tx: tx.change_key("wang", "yearly")) == Key.of(new).id
    reached = do(journal, lambda tx: tx.renew(0, 4))
    everybody(journal)
    do(journal, lambda tx: visit(tx, "3703-3", "试3"))
    journal.close()
    journal = opened(tmp_path)
    assert do(journal, lambda tx: tx.left_to_renew()) == 7
    assert reached is not None
    everybody(journal)
    assert renew(journal) == 0
    keyring.replace(key_file(tmp_path), [new])
    do(journal, lambda tx: tx.look_for_key())
    everybody(journal)
    assert journal.queries.check().problems == []
    assert list(journal.queries.facts())[: len(facts)] == facts
    assert json.loads(list(journal.queries.facts())[secret])["body"]["kind"] == "key_changed"
    journal.close()
    keyring.replace(key_file(tmp_path), [old])
    stolen = Queries(tmp_path / "state/journal.db", Vault(key_file(tmp_path)))
    assert stolen.names_fault() == "vault.key_foreign"
    assert {json.loads(one)["resident"]["hidden"] for one in stolen.page()[0]} <= {"key_missing"}
    stolen.close()


def test_a_key_file_lost_while_the_journal_is_open_loses_nobody(tmp_path):
    journal = opened(tmp_path)
    exam = do(journal, visit)
    key_file(tmp_path).unlink()
    assert do(journal, visit) != exam
    keyring.make(key_file(tmp_path))
    do(journal, lambda tx: tx.change_key("wang", "the stick broke"))
    assert renew(journal) == 0
    journal.close()
    journal = opened(tmp_path)
    assert journal.queries.resident(journal.queries.exam(exam).resident).name == NAME
    assert do(journal, visit)
    assert [json.loads(one)["body"]["lost"] for one in journal.queries.facts() if b"key_changed" in one] == [
        False
    ]
    journal.close()


def test_changing_the_key_twice_to_the_same_one_is_one_fact(tmp_path):
    journal = opened(tmp_path)
    rotated(tmp_path)
    names = {do(journal, lambda tx: tx.change_key("wang", "yearly")) for _ in range(2)}
    bodies = [json.loads(one)["body"] for one in journal.queries.facts()]
    assert len(names) == 1
    assert [(one["kind"], one["lost"]) for one in bodies] == [(KeyChanged.__struct_config__.tag, False)]
    journal.close()


def wrapped(folder: Path) -> dict[str, tuple[bytes, bytes]]:
    """Return each resident's wrapped data key and sealed document, as they lie in the file."""
    raw = sqlite3.connect(folder / "state/journal.db")
    sql = "SELECT p.id, k.wrapped, p.sealed FROM persons AS p JOIN data_keys AS k ON k.owner = p.id"
    found = {key: (key_, sealed) for key, key_, sealed in raw.execute(sql)}
    raw.close()
    return found


def test_an_erased_person_is_nobody_and_everything_else_stays(tmp_path):
    journal = opened(tmp_path)
    exams = [do(journal, lambda tx, n=n: visit(tx, f"3703-{n}", f"试{n}")) for n in range(60)]
    key = do(journal, lambda tx: final(tx, exams[7]))
    gone = journal.queries.exam(exams[7]).resident
    do(journal, lambda tx: tx.resident_for([Identifier("cn-id", "3703-7"), RECORD]))
    erase = lambda tx: tx.erase(gone, "wang", "asked to be forgotten")  # noqa: E731
    assert refused(journal, erase) == "resident.exam_open"
    do(journal, lambda tx: close(tx, exams[7]))
    before = wrapped(tmp_path)
    facts = list(journal.queries.facts())
    fact = do(journal, erase)
    assert isinstance(fact.body, ResidentErased)
    assert list(journal.queries.facts())[:-1] == facts
    assert json.loads(list(journal.queries.facts())[-1])["body"] == {
        "kind": "resident_erased",
        "resident": gone,
        "operator": "wang",
        "reason": "asked to be forgotten",
    }
    assert journal.queries.resident(gone) == Unnamed(gone, hidden="erased")
    document = json.loads(journal.queries.measurement_document(key))
    assert document["values"]["systolic"] == {"value": "120", "unit": "mm[Hg]"}
    assert (document["resident"]["id"], document["resident"]["hidden"]) == (gone, "erased")
    for number in ("3703-7", RECORD.value):
        assert do(journal, lambda tx, n=number: tx.residents_with(n)) == []
    left = [one for one in before if one != gone]
    assert all(journal.queries.resident(one).name for one in left)
    assert journal.queries.check().problems == []
    files = b"".join(path.read_bytes() for path in (tmp_path / "state").iterdir())
    pieces = [part[at : at + 16] for part in before[gone] for at in range(0, len(part) - 15, 8)]
    assert [piece for piece in pieces if piece in files] == []
    assert all(before[one][0] in files for one in left)
    assert refused(journal, erase) == "resident.erased"
    assert journal.queries.exam(do(journal, lambda tx: visit(tx, "3703-7", "试7"))).resident != gone
    journal.close()


def close(tx, exam):
    tx.append(ExamClosed(exam=exam, operator="doctor"))


def test_what_was_overwritten_leaves_the_wal_as_soon_as_nobody_reads_it(tmp_path):
    journal = opened(tmp_path)
    exam = do(journal, visit)
    do(journal, lambda tx: close(tx, exam))
    resident = journal.queries.exam(exam).resident
    ((key, _),) = wrapped(tmp_path).values()
    wal = tmp_path / "state" / "journal.db-wal"
    reader = sqlite3.connect(tmp_path / "state/journal.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM facts").fetchone()
    do(journal, lambda tx: tx.erase(resident, "wang", "why"))
    assert key in wal.read_bytes()
    do(journal, heard)
    reader.close()
    deadline = time.monotonic() + 30
    while wal.stat().st_size:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert key not in (tmp_path / "state/journal.db").read_bytes()
    journal.close()


def test_what_was_erased_stays_erased_with_every_key_there_ever_was(tmp_path):
    journal = opened(tmp_path)
    exam = do(journal, visit)
    resident = journal.queries.exam(exam).resident
    do(journal, lambda tx: close(tx, exam))
    rotated(tmp_path)
    do(journal, lambda tx: tx.erase(resident, "wang", "why"))
    do(journal, lambda tx: tx.change_key("wang", "yearly"))
    assert renew(journal) == 0
    journal.close()
    journal = opened(tmp_path)
    assert journal.queries.resident(resident) == Unnamed(resident, hidden="erased")
    assert do(journal, lambda tx: tx.residents_with(NUMBER)) == []
    journal.close()


@pytest.mark.parametrize(
    ("resident", "operator", "reason", "code"),
    [
        ("r-0", "wang", "why", "resident.unknown"),
        (None, " ", "why", "operator.missing"),
        (None, "wang", " ", "resident.reason"),
        (None, "wang", f"{NAME} asked", "resident.reason_names"),
        (None, "wang", f"number {NUMBER}", "resident.reason_names"),
    ],
)
def test_an_erasure_needs_somebody_an_operator_and_a_reason_that_names_nobody(
    tmp_path, resident, operator, reason, code
):
    journal = opened(tmp_path)
    exam = do(journal, visit)
    do(journal, lambda tx: close(tx, exam))
    known = journal.queries.exam(exam).resident
    assert refused(journal, lambda tx: tx.erase(resident or known, operator, reason)) == code
    assert journal.queries.resident(known).name == NAME
    assert journal.queries.counts().facts == 2
    journal.close()


def test_somebody_can_be_erased_although_the_key_is_lost(tmp_path):
    journal = opened(tmp_path)
    exam = do(journal, visit)
    do(journal, lambda tx: close(tx, exam))
    journal.close()
    kept = key_file(tmp_path).read_bytes()
    key_file(tmp_path).unlink()
    journal = opened(tmp_path)
    resident = journal.queries.exam(exam).resident
    do(journal, lambda tx: tx.erase(resident, "wang", "why"))
    key_file(tmp_path).write_bytes(kept)
    do(journal, lambda tx: tx.look_for_key())
    assert journal.queries.resident(resident) == Unnamed(resident, hidden="erased")
    journal.close()


def test_nothing_more_of_an_erased_person_is_sent_but_what_takes_back(tmp_path):
    journal = opened(tmp_path)
    exam = do(journal, visit)
    sent, waiting, refused_ = (do(journal, lambda tx: final(tx, exam)) for _ in range(3))
    do(journal, lambda tx: tx.delivered("fhir", sent, 1, {"Observation": "1"}))
    do(journal, lambda tx: tx.parked("fhir", refused_, 1, "said no"))
    do(journal, lambda tx: close(tx, exam))
    resident = journal.queries.exam(exam).resident
    do(journal, lambda tx: tx.erase(resident, "wang", "why"))
    assert journal.queries.due("fhir", 10) == []
    assert journal.queries.deliveries("parked") == []
    do(journal, lambda tx: tx.append(Voided(measurement=sent, by="d", reason="r", replaced_by=None)))
    do(journal, lambda tx: judged(tx, waiting))
    (due,) = journal.queries.due("fhir", 10)
    assert (due.measurement.id, due.measurement.status) == (sent, "entered-in-error")
    assert due.resident == Unnamed(resident, hidden="erased")
    journal.close()
    journal = opened(tmp_path, forwarders=("fhir", "later"))
    assert journal.queries.due("later", 10) == []
    journal.close()


def test_what_was_put_in_anothers_place_or_changed_names_nobody_and_is_reported(tmp_path):
    journal = opened(tmp_path)
    exams = [do(journal, visit), do(journal, lambda tx: visit(tx, *OTHER))]
    one, two = (journal.queries.exam(exam).resident for exam in exams)
    do(journal, lambda tx: final(tx, exams[0]))
    journal.close()
    raw = sqlite3.connect(tmp_path / "state/journal.db")
    raw.execute(
        "UPDATE persons SET sealed = (SELECT sealed FROM persons WHERE id = ?) WHERE id = ?", (two, one)
    )
    raw.execute(
        "UPDATE data_keys SET wrapped = (SELECT wrapped FROM data_keys WHERE owner = ?) WHERE owner = ?",
        (two, one),
    )
    raw.commit()
    raw.close()
    journal = opened(tmp_path)
    assert journal.queries.resident(one) == Unnamed(one, hidden="damaged")
    assert journal.queries.resident(two).name == OTHER[1]
    assert json.loads(journal.queries.page()[0][0])["resident"]["hidden"] == "damaged"
    assert journal.queries.due("fhir", 10) == []
    assert [problem.what for problem in journal.queries.check().problems] == [
        f"persons {one}: who this is was sealed and cannot be opened"
    ]
    do(journal, lambda tx: final(tx, exams[0]))
    new, _ = rotated(tmp_path)
    do(journal, lambda tx: tx.change_key("wang", "yearly"))
    assert renew(journal) == 1
    assert journal.queries.resident(two).name == OTHER[1]
    assert Key.of(new).id
    journal.close()


def test_words_of_a_machine_that_name_somebody_are_sealed_in_the_chain(tmp_path):
    journal = opened(tmp_path)
    exam = do(journal, visit)
    heard_ = do(journal, lambda tx: named_frames(tx, exam, [NUMBER.encode().hex()]))
    do(journal, lambda tx: tx.append(EVENT, json.dumps({"patient_id": NUMBER}).encode()))
    do(journal, lambda tx: tx.append(EVENT, json.dumps({"patient_id": "somebody else"}).encode()))
    evidence = journal.queries.evidence(heard_)
    assert evidence["frames"] == [NUMBER.encode().hex()]
    assert naming(tmp_path / "state", NUMBER) == []
    details = [one.detail for one in journal.queries.device_events("poct")]
    assert details == [{"patient_id": "somebody else"}, {"patient_id": NUMBER}]
    stolen = Queries(tmp_path / "state/journal.db")
    assert stolen.evidence(heard_)["frames"] == ["0202"]
    assert stolen.device_events("poct")[0].detail == {"test": "HbA1c"}
    stolen.close()
    do(journal, lambda tx: close(tx, exam))
    do(journal, lambda tx: tx.erase(journal.queries.exam(exam).resident, "wang", "why"))
    assert journal.queries.evidence(heard_)["frames"] == ["0202"]
    details = [one.detail for one in journal.queries.device_events("poct")]
    assert details == [{"patient_id": "somebody else"}, {"test": "HbA1c"}]
    assert journal.queries.check().problems == []
    journal.close()


def named_frames(tx, exam, frames) -> str:
    """Append a measurement of this exam whose frames name somebody."""
    key = tx.next_measurement_id("bp", None, "omron_hbp", None)
    tx.append(
        Received(
            measurement=key, device="bp", driver="omron_hbp", serial=None, reading="blood_pressure",
            values=pressure(), evidence=["0202"], device_time=None, sequence=None, context={}, flags=[],
            failed=None, stored=False, record=None,
            began=tx.now(), clock_offset_s=None,
        ),
        json.dumps(frames).encode(),
    )  # fmt: skip
    bound(tx, key, exam)
    judged(tx, key)
    return key


def test_words_of_a_machine_are_sealed_although_the_key_is_lost(tmp_path):
    journal = opened(tmp_path)
    exam = do(journal, visit)
    journal.close()
    kept = key_file(tmp_path).read_bytes()
    key_file(tmp_path).unlink()
    journal = opened(tmp_path)
    key = do(journal, lambda tx: named_frames(tx, exam, ["abcd"]))
    assert journal.queries.evidence(key)["frames"] == ["0202"]
    key_file(tmp_path).write_bytes(kept)
    do(journal, lambda tx: tx.look_for_key())
    assert journal.queries.evidence(key)["frames"] == ["abcd"]
    journal.close()


def test_what_a_rolled_back_command_sealed_is_not_there(tmp_path):
    journal = opened(tmp_path)

    def fails(tx):
        visit(tx)
        tx.append(EVENT, b"{}")
        raise ArithmeticError

    assert isinstance(journal.submit(fails).exception(10), ArithmeticError)
    assert do(journal, lambda tx: tx.residents_with(NUMBER)) == []
    assert wrapped(tmp_path) == {}
    assert journal.queries.check().problems == []
    journal.close()
