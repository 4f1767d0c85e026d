"""The ends of the chain are signed: who has the evidence and nothing else can check who wrote it."""

import hashlib
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from journal_making import final, heard, opened, visit

from store import keyring, signing
from store.integrity import Report
from store.queries import Queries
from store.vault import Vault

ROOT = Path(__file__).parents[2]


def do(journal, command):
    return journal.submit(command).result(10)


def key_file(folder: Path) -> Path:
    return folder / "state-key" / "key"


def many(journal, count: int) -> list[str]:
    return [do(journal, heard) for _ in range(count)]


def checked(folder: Path, anchor: tuple[int, bytes] | None = None, *, with_key: bool = True) -> Report:
    queries = Queries(folder / "state/journal.db", Vault(key_file(folder) if with_key else None))
    try:
        return queries.check(anchor)
    finally:
        queries.close()


def kept(folder: Path) -> list[tuple[int, int, str]]:
    raw = sqlite3.connect(folder / "state/journal.db")
    found = raw.execute("SELECT seq, after, key FROM heads ORDER BY seq").fetchall()
    raw.close()
    return found


def behind_its_back(folder: Path, *statements: str) -> None:
    """Change the file as somebody does who knows SQLite: the triggers are there again afterwards."""
    raw = sqlite3.connect(folder / "state/journal.db")
    triggers = raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        raw.execute(f"DROP TRIGGER {name}")
    for sql in statements:
        raw.execute(sql)
    for _, sql in triggers:
        raw.execute(sql)
    raw.commit()
    raw.close()


def proven(evidence: dict) -> str:
    """Check evidence from its description alone; return the public half of the key that signed for it."""
    if evidence["body"] is not None:
        assert hashlib.sha256(evidence["body"].encode()).hexdigest() == evidence["links"][0]["body_hash"]
        assert json.loads(evidence["body"]).get("evidence", []) == evidence["frames"] or evidence["sealed"]
    before = bytes.fromhex(evidence["prev"])
    for number, link in enumerate(evidence["links"]):
        assert link["seq"] == evidence["seq"] + number
        parts = (before, link["seq"].to_bytes(8, "big"), link["id"].encode(), link["at"].encode())
        covered = b"".join(
            len(part).to_bytes(4, "big") + part for part in (*parts, bytes.fromhex(link["body_hash"]))
        )
        before = hashlib.sha256(covered).digest()
        assert before.hex() == link["hash"]
    signed = evidence["signature"]
    assert (evidence["links"][-1]["seq"], evidence["links"][-1]["hash"]) == (signed["seq"], signed["hash"])
    message = b"checkup-gateway head 1\x00" + signed["seq"].to_bytes(8, "big") + before
    message += signed["after"].to_bytes(8, "big")
    assert message.hex() == signed["message"]
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signed["public"]))
    public.verify(bytes.fromhex(signed["signature"]), message)
    return signed["public"]


def test_evidence_is_checked_by_somebody_who_has_nothing_else(tmp_path):
    journal = opened(tmp_path)
    exam = do(journal, visit)
    keys = [do(journal, lambda tx: final(tx, exam)) for _ in range(60)]
    found = [journal.queries.evidence(key) for key in keys]
    assert len({proven(one) for one in found}) == 1
    assert max(len(one["links"]) for one in found) < signing.KEEP + 10
    assert found[0]["frames"] == ["0212", "03"]
    for field in ("prev", "body"):
        with pytest.raises((AssertionError, InvalidSignature)):
            proven({**found[0], field: found[1][field]})
    journal.close()


def test_the_public_half_is_the_one_that_the_key_file_gives(tmp_path):
    journal = opened(tmp_path)
    key = do(journal, heard)
    evidence = journal.queries.evidence(key)
    journal.close()
    secret = keyring.read(key_file(tmp_path))[0]
    private = Ed25519PrivateKey.from_private_bytes(keyring.derived(secret, "checkup-gateway signing 1"))
    assert private.public_key().public_bytes_raw().hex() == proven(evidence)


def test_a_signed_end_is_kept_now_and_then_and_says_which_was_kept_before(tmp_path):
    journal = opened(tmp_path)
    many(journal, 350)
    journal.close()
    assert [(seq, after) for seq, after, _ in kept(tmp_path)] == [(0, 0), (100, 0), (200, 100), (300, 200)]
    report = checked(tmp_path)
    assert (report.problems, report.notes, report.signed, report.last) == ([], [], 350, 350)


def test_a_changed_key_is_named_by_a_fact_that_the_key_before_signs(tmp_path):
    journal = opened(tmp_path)
    before = many(journal, 3)[0]
    old = proven(journal.queries.evidence(before))
    for turn in range(2):
        secrets = keyring.read(key_file(tmp_path))
        keyring.replace(key_file(tmp_path), [keyring.new(), *secrets])
        do(journal, lambda tx: tx.change_key("wang", "yearly"))
        after = many(journal, 3)[0]
        new = proven(journal.queries.evidence(after))
        assert new != old
        assert proven(journal.queries.evidence(before)) != new
        before, old = after, new
        assert len(kept(tmp_path)) == 2 + turn
    journal.close()
    assert (checked(tmp_path).problems, checked(tmp_path).notes) == ([], [])


def test_a_lost_key_is_named_as_lost_and_the_chain_goes_on(tmp_path):
    journal = opened(tmp_path)
    many(journal, 3)
    journal.close()
    key_file(tmp_path).unlink()
    journal = opened(tmp_path)
    many(journal, 2)
    report = journal.queries.check()
    assert (report.problems, report.signed, [note.seq for note in report.notes]) == ([], 0, [5])
    keyring.make(key_file(tmp_path))
    do(journal, lambda tx: tx.change_key("wang", "the stick broke", over_lost=True))
    key = many(journal, 1)[0]
    proven(journal.queries.evidence(key))
    journal.close()
    report = checked(tmp_path)
    assert (report.problems, report.signed) == ([], 7)
    assert ["was lost" in note.what for note in report.notes] == [True]


def test_an_unsigned_end_is_a_problem_once_the_key_is_at_hand(tmp_path):
    journal = opened(tmp_path)
    many(journal, 3)
    journal.close()
    behind_its_back(tmp_path, "UPDATE head SET key = NULL, signature = NULL")
    assert {problem.seq for problem in checked(tmp_path).problems} == {3}
    assert [note.seq for note in checked(tmp_path, with_key=False).notes] == [3]


def forged(folder: Path, seq: int) -> None:
    """Change a fact and make everything after it anew, as somebody does who knows our code but has no key."""
    raw = sqlite3.connect(folder / "state/journal.db")
    (body,) = raw.execute("SELECT body FROM facts WHERE seq = ?", (seq,)).fetchone()
    (prev,) = raw.execute("SELECT prev FROM facts WHERE seq = ?", (seq,)).fetchone()
    todo = raw.execute("SELECT seq, id, at, body FROM facts WHERE seq >= ? ORDER BY seq", (seq,)).fetchall()
    changes = ["DELETE FROM versions WHERE 0"]
    for number, key, at, was in todo:
        held = body.replace(b'"120"', b'"119"') if number == seq else was
        hashed = hashlib.sha256(held).digest()
        covered = b"".join(
            len(part).to_bytes(4, "big") + part
            for part in (prev, number.to_bytes(8, "big"), key.encode(), at, hashed)
        )
        digest = hashlib.sha256(covered).digest()
        changes.append(
            f"""UPDATE facts SET body = x'{held.hex()}', body_hash = x'{hashed.hex()}',
                prev = x'{prev.hex()}', hash = x'{digest.hex()}' WHERE seq = {number}"""
        )
        prev = digest
    changes.append(f"UPDATE head SET hash = x'{prev.hex()}'")
    document = "CAST(replace(CAST(document AS TEXT), '\"120\"', '\"119\"') AS BLOB)"
    changes.append(f"UPDATE versions SET document = {document} WHERE seq = {seq}")
    raw.close()
    behind_its_back(folder, *changes)


def test_a_tail_made_anew_with_all_its_hashes_is_found_by_the_signature(tmp_path):
    journal = opened(tmp_path)
    many(journal, 250)
    journal.close()
    forged(tmp_path, 240)
    assert {problem.seq for problem in checked(tmp_path, with_key=False).problems} >= {250}


def test_a_middle_made_anew_is_found_at_every_signed_end_after_it(tmp_path):
    journal = opened(tmp_path)
    many(journal, 250)
    journal.close()
    forged(tmp_path, 90)
    assert {problem.seq for problem in checked(tmp_path, with_key=False).problems} >= {100, 200, 250}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("DELETE FROM heads WHERE seq = 100", {100}),
        ("DELETE FROM heads WHERE seq = 200", {250}),
        ("DELETE FROM heads WHERE seq = 0", {1}),
        ("UPDATE heads SET signature = randomblob(64) WHERE seq = 100", {100}),
        ("UPDATE heads SET hash = randomblob(32) WHERE seq = 200", {200}),
        ("UPDATE heads SET after = 0 WHERE seq = 200", {200}),
        ("UPDATE heads SET key = '0123456789abcdef' WHERE seq = 100", {100}),
        ("UPDATE heads SET seq = 150 WHERE seq = 200", {150}),
        ("UPDATE head SET signature = randomblob(64)", {250}),
        ("UPDATE head SET key = '0123456789abcdef'", {250}),
        ("INSERT INTO heads SELECT 150, hash, 100, key, signature FROM heads WHERE seq = 100", {150}),
        ("UPDATE keys SET signs = randomblob(32)", {0}),
        ("UPDATE keys SET public = randomblob(32)", {0}),
        ("INSERT INTO keys VALUES (7, '0123456789abcdef', randomblob(32), randomblob(32))", {0}),
    ],
)
def test_whatever_is_done_to_signatures_is_found_without_the_key(tmp_path, change, named):
    journal = opened(tmp_path)
    many(journal, 250)
    journal.close()
    behind_its_back(tmp_path, change)
    assert {problem.seq for problem in checked(tmp_path, with_key=False).problems} >= named


def test_a_whole_older_copy_shows_only_against_an_end_noted_elsewhere(tmp_path):
    journal = opened(tmp_path)
    many(journal, 20)
    journal.close()
    older = (tmp_path / "state/journal.db").read_bytes()
    journal = opened(tmp_path)
    many(journal, 20)
    report = journal.queries.check()
    noted = (report.last, bytes.fromhex(report.head))
    many(journal, 5)
    journal.close()
    assert checked(tmp_path, noted).problems == []
    (tmp_path / "state/journal.db").write_bytes(older)
    assert checked(tmp_path).problems == []
    assert {problem.seq for problem in checked(tmp_path, noted).problems} == {40}


def test_the_command_takes_the_end_that_it_printed(tmp_path):
    journal = opened(tmp_path)
    many(journal, 3)
    journal.close()

    def verify(*more, status=0):
        arguments = [sys.executable, "-m", "tools.main", "journal", "verify", "--json", "--file"]
        done = subprocess.run(
            [*arguments, str(tmp_path / "state/journal.db"), *more],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == status, done.stderr
        return json.loads(done.stdout) if status != 2 else None

    first = verify()
    assert (first["last"], first["signed"]) == (3, 3)
    verify("--head", f"3:{first['head']}")
    assert verify("--head", f"4:{first['head']}", status=6)["problems"][0]["seq"] == 4
    assert verify("--head", f"2:{first['head']}", status=6)["problems"][0]["seq"] == 2
    verify("--head", "3:abc", status=2)
