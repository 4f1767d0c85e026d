"""What a new journal is made of when the old one was damaged: rows replayed from facts, and what was sealed.

Nothing is taken from the damaged file that a fact, a signature or a key does not prove, but for two things
that only make us more careful: which measurements had further versions, and what the centre confirmed.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from store import chain, clocks, keyring, outbox, rows, salvage, signing, vault
from store.facts import (
    Bound,
    Delivered,
    ExamClosed,
    Fact,
    Instant,
    KeyChanged,
    Measurement,
    Refused,
    Resent,
    ResidentErased,
    Voided,
)
from store.proof import Proof, Run
from store.replay import Orphan, Replay, origins
from store.residents import Unnamed
from store.signing import SignedHead
from store.transaction import Transaction
from store.vault import ERASED, FACT, Ring, Vault

BY = "rule:recovered"
WHY = "the journal was damaged: some of what was known of this is lost"
WITHDRAWN = "entered-in-error"
_WRAPPED = 61
"""Bytes of a wrapped data key: one that is lost is all zeros."""
_decode_receipt = msgspec.json.Decoder(dict[str, str]).decode
_FACTS = "SELECT seq, command, id, at, body, prev, hash FROM facts ORDER BY seq"
_LATEST = """SELECT version, status, resident FROM versions WHERE measurement = ?
             ORDER BY version DESC LIMIT 1"""
_SENT = (
    "SELECT max(version, coalesce(delivered_version, 0)) FROM outbox WHERE forwarder = ? AND measurement = ?"
)
_NEEDED = """SELECT resident FROM exams UNION SELECT resident FROM outbox
             UNION SELECT resident FROM versions WHERE resident IS NOT NULL"""


def end(source: sqlite3.Connection) -> tuple[int, bool]:
    """Return the highest place in the chain that the old file knows of, and whether it is certain."""
    noted = salvage.one(source, "SELECT seq FROM head")
    others = [salvage.one(source, f"SELECT max(seq) FROM {name}") for name in ("heads", "versions", "facts")]  # noqa: S608
    return max(noted, *others), noted >= max(others)


def keys(target: sqlite3.Connection, source: sqlite3.Connection, held: Vault) -> None:
    """Write the table of keys: as the facts name them, else as it was, else as the key file has them."""
    halves: dict[str, tuple[bytes, bytes | None]] = {}
    order: list[str] = []
    for name, public, signs in salvage.several(source, "keys", "id, public, signs", "turn"):
        if isinstance(name, str) and isinstance(public, bytes) and isinstance(signs, bytes | None):
            halves[name] = (public, signs)
            order.append(name)
    for key in held.at_hand():
        from store import cipher  # noqa: PLC0415

        halves.setdefault(key.id, (cipher.public_half(key), cipher.checking_half(key)))
    for body in _changes(target):
        halves[body.key] = (bytes.fromhex(body.seals), bytes.fromhex(body.signs))
        order = [*(one for one in order if one != body.key), body.key]
    first = target.execute("SELECT prev FROM facts WHERE seq = 1").fetchone()
    for name, (public, signs) in halves.items():
        if first is not None and signs is not None and chain.root(name, public, signs) == first[0]:
            order = order if name in order else [name, *order]
    for turn, name in enumerate(order, 1):
        target.execute(
            "INSERT INTO keys(turn, id, public, signs) VALUES (?, ?, ?, ?)", (turn, name, *halves[name])
        )


def _changes(target: sqlite3.Connection) -> Iterator[KeyChanged]:
    kind = b'{"kind":"key_changed"'
    for (body,) in target.execute(
        "SELECT body FROM facts WHERE substr(body, 1, ?) = ? ORDER BY seq", (len(kind), kind)
    ):
        found = rows.decode_body(body)
        if isinstance(found, KeyChanged) and found.signs:
            yield found


def heads(target: sqlite3.Connection, source: sqlite3.Connection, ring: Ring) -> list[int]:
    """Take over the signed ends that hold; return those that are missing, by their seq."""
    public = dict(target.execute("SELECT id, signs FROM keys WHERE signs IS NOT NULL"))
    named = set[int]()
    for row in salvage.several(source, "heads", "seq, hash, after, key, signature", "seq"):
        head = msgspec.convert(row, SignedHead)
        if head.key in public and signing.holds(public[head.key], head):
            target.execute("INSERT INTO heads VALUES (?, ?, ?, ?, ?)", head)
            named |= {head.seq, head.after}
    _root(target, ring)
    while wrong := _wrong(target):
        target.executemany("DELETE FROM heads WHERE seq = ?", [(seq,) for seq in wrong])
    return sorted(named - _kept(target))


def _kept(target: sqlite3.Connection) -> set[int]:
    return {seq for (seq,) in target.execute("SELECT seq FROM heads")}


def _wrong(target: sqlite3.Connection) -> set[int]:
    """Return the signed ends that do not fit the facts there are, or whose key no fact names any more."""
    proof = Proof(target)
    for _ in proof.steps():
        pass
    return _kept(target) & {problem.seq for problem in proof.problems}


def _root(target: sqlite3.Connection, ring: Ring) -> None:
    """Sign the chain's beginning anew where that is lost, with its key at hand: the signature is the same."""
    first = target.execute("SELECT prev FROM facts WHERE seq = 1").fetchone()
    found = target.execute("SELECT id, public, signs FROM keys WHERE signs IS NOT NULL").fetchall()
    for name, public, signs in found if 0 not in _kept(target) else ():
        if first is not None and name in ring.keys and chain.root(name, public, signs) == first[0]:
            from store import cipher  # noqa: PLC0415

            signature = cipher.sign(ring.keys[name], signing.message(0, first[0], 0))
            target.execute("INSERT INTO heads VALUES (0, ?, 0, ?, ?)", (first[0], name, signature))


def unnamed(target: sqlite3.Connection) -> bool:
    """Let the key in use not sign where the fact that named it is lost; say whether it is."""
    begun: tuple[str] | None = target.execute("SELECT key FROM heads WHERE seq = 0").fetchone()
    named = [*(begun or ()), *(body.key for body in _changes(target))]
    row: tuple[str] | None = target.execute("SELECT id FROM keys ORDER BY turn DESC LIMIT 1").fetchone()
    if row is None or named[-1:] == [row[0]]:
        return False
    target.execute("UPDATE keys SET signs = NULL WHERE id = ?", row)
    return True


class Rebuilt:
    """A new journal's rows as its facts give them; `sealed` are the ids of facts that seal something."""

    def __init__(
        self,
        target: sqlite3.Connection,
        source: sqlite3.Connection,
        forwarders: Sequence[str],
        let_go: Sequence[Run],
    ) -> None:
        """*let_go* are the facts whose bodies went by policy: what they said stands in versions only."""
        self.sealed: list[str] = []
        self.lost: list[Run] = []
        """Commands whose versions were all that was left of them, and cannot be read."""
        self._target = target
        self._source = source
        self._left = _forwarders(target, source, forwarders)
        self._replay = Replay(target, self._before, bytes)
        command: dict[int, Fact | Instant] = {}
        number, bare = 0, list[int]()
        for seq, first, key, at, body, prev, digest in target.execute(_FACTS):
            if first != number:
                self._take(command, bare)
                number, command, bare = first, {}, []
            instant = rows.decode_instant(at)
            self._replay.clock(seq, instant)
            if body is not None:
                command[seq] = Fact(seq, key, instant, rows.decode_body(body), prev, digest)
                continue
            command[seq] = instant
            if any(low <= seq <= high for low, high in let_go):
                bare.append(seq)
        self._take(command, bare)

    def _before(self, key: str, seq: int) -> Measurement | None:
        return rows.measurement(self._target, key)

    def _take(self, command: Mapping[int, Fact | Instant], bare: Sequence[int]) -> None:
        """Write what one command's facts mean; of those without a body *command* has the instant only."""
        facts = {seq: fact for seq, fact in command.items() if isinstance(fact, Fact)}
        stood = self._stood(sorted({*bare, *facts}), bare) if bare else []
        begun = origins(one for one, _ in stood)
        for seq, fact in command.items():
            if isinstance(fact, Fact):
                self._row(fact)
            elif seq in begun:
                self._replay.let_go(seq, fact, begun[seq])
        try:
            made = stood if bare else self._replay.versions(list(facts.values()))
        except Orphan:
            return
        for one, seq in stood:
            self._replay.version(one, seq)
        for one, seq in made:
            names = [name for name, left in self._left.items() if left is None or seq <= left]
            outbox.queue(self._target, names, one, seq)
            if one.version == 1 and not one.received.synchronised:
                clocks.doubt(self._target, one.id)

    def _row(self, fact: Fact) -> None:
        self._replay.row(fact)
        self._deliver(fact)
        if getattr(fact.body, "sealed", None) is not None:
            self.sealed.append(fact.id)

    def _stood(self, seqs: Iterable[int], bare: Iterable[int]) -> list[tuple[Measurement, int]]:
        """Return the versions that stood, where the facts they rest on were let go."""
        found: list[tuple[Measurement, int]] = []
        for seq in seqs:
            row = salvage.read(self._source, "SELECT document, resident FROM versions WHERE seq = ?", seq)
            if row is None or not isinstance(row[0], bytes) or not isinstance(row[1], str | None):
                continue
            try:
                one = rows.restored(row[0], row[1])
            except (ValueError, msgspec.MsgspecError):
                continue
            found.append((one, seq))
        if not found:
            self.lost += [(seq, seq) for seq in bare]
        return found

    def _deliver(self, fact: Fact) -> None:
        match fact.body:
            case Delivered(measurement=key, version=version, forwarder=name, receipt=receipt):
                outbox.delivered(self._target, name, key, version, receipt)
            case Refused(measurement=key, version=version, forwarder=name, reason=reason):
                outbox.parked(self._target, name, key, version, reason)
            case Resent(measurement=key, forwarder=name):
                outbox.resend(self._target, name, key)
            case ResidentErased(resident=who, frames=frames):
                for owner in (who, *(FACT + one for one in frames)):
                    _lock(self._target, owner, ERASED, bytes(_WRAPPED))
                outbox.hold_back(self._target, who)
            case _:
                pass

    def unsettled(self) -> dict[str, tuple[int, str]]:
        """Return the measurements of which the old file knows more: their last version and status there."""
        found: dict[str, tuple[int, str]] = {}
        for key, version, status, resident in self._target.execute(
            """SELECT m.id, v.version, m.status, m.resident FROM measurements AS m JOIN versions AS v
               ON v.seq = m.seq"""
        ).fetchall():
            was = salvage.read(self._source, _LATEST, key)
            sent = max(salvage.one(self._source, _SENT, name, key) for name in (*self._left, ""))
            if was is None or not isinstance(was[0], int):
                if sent > version:
                    found[key] = (sent, status)
            elif was != (version, status, resident) or sent > version:
                found[key] = (max(was[0], sent, version), str(was[1]))
        return found

    def settle(self, tx: Transaction, unsettled: Mapping[str, tuple[int, str]]) -> None:
        """Note what the centre confirmed, close what is open, lay before a person what lost some facts."""
        for name in self._left:
            for key, version, receipt in self._confirmed(name):
                tx.delivered(name, key, version, receipt)
        for exam in tx.open_exams():
            tx.append(ExamClosed(exam=exam.id, operator=BY))
        for key, (_, status) in sorted(unsettled.items()):
            if status == WITHDRAWN:
                tx.append(Voided(measurement=key, by=BY, reason=WHY, replaced_by=None))
            else:
                tx.append(Bound(measurement=key, exam=None, resident=None, by=BY, reason=WHY))

    def _confirmed(self, name: str) -> list[tuple[str, int, dict[str, str]]]:
        """Return what stands as delivered in the old file although the fact of it is lost."""
        found = []
        sql = "SELECT measurement, coalesce(delivered_version, 0) FROM outbox WHERE forwarder = ?"
        for key, known in self._target.execute(sql, (name,)).fetchall():
            sql = "SELECT delivered_version, receipt FROM outbox WHERE forwarder = ? AND measurement = ?"
            was = salvage.read(self._source, sql, name, key)
            if was is not None and isinstance(was[0], int) and was[0] > known:
                found.append((key, was[0], _receipt(was[1])))
        return found


def _receipt(said: object) -> dict[str, str]:
    try:
        return _decode_receipt(said) if isinstance(said, bytes) else {}
    except msgspec.MsgspecError:
        return {}


def _forwarders(
    target: sqlite3.Connection, source: sqlite3.Connection, wanted: Sequence[str]
) -> dict[str, int | None]:
    """Write who is handed over to, as the old file has it, else as configured; return since when not."""
    found: dict[str, int | None] = dict.fromkeys(wanted)
    there = salvage.several(source, "forwarders", "name, left_at", "name")
    found |= {name: left for name, left in there if isinstance(name, str) and isinstance(left, int | None)}
    for name, left_at in found.items():
        target.execute("INSERT INTO forwarders VALUES (?, ?)", (name, left_at))
    return found


def _lock(target: sqlite3.Connection, owner: str, key: str, wrapped: bytes) -> None:
    target.execute(
        "INSERT OR IGNORE INTO data_keys(owner, key, wrapped) VALUES (?, ?, ?)", (owner, key, wrapped)
    )


def sealed(
    target: sqlite3.Connection, source: sqlite3.Connection, ring: Ring, facts: Sequence[str]
) -> list[str]:
    """Take over what lies under lock; return whose part of it is lost: residents, and facts as `fact:ID`."""
    known = {name for (name,) in target.execute("SELECT id FROM keys")}
    lost = [owner for owner in (FACT + one for one in facts) if not _held(target, source, owner, known)]
    for (who,) in target.execute(_NEEDED).fetchall():
        row = salvage.read(source, "SELECT sealed FROM persons WHERE id = ?", who)
        box = row[0] if row is not None and isinstance(row[0], bytes) else bytes(vault.PADDING)
        erased = vault.is_erased(target, who)
        whole = _held(target, source, who, known) and row is not None
        gone = vault.is_erased(target, who)
        target.execute("INSERT INTO persons VALUES (?, ?)", (who, bytes(len(box)) if gone else box))
        if gone != erased or not (whole and (gone or _opens(target, ring, who))):
            lost.append(who)
        if not gone:
            _numbers(target, source, ring, who)
    return sorted(set(lost))


def _held(target: sqlite3.Connection, source: sqlite3.Connection, owner: str, known: set[str]) -> bool:
    """Take over a data key; one that is not there any more is all zeros, so that everybody sees it."""
    if vault.is_held(target, owner):
        return True
    row = salvage.read(source, "SELECT key, wrapped FROM data_keys WHERE owner = ?", owner)
    if (
        row is not None
        and isinstance(row[0], str)
        and isinstance(row[1], bytes)
        and row[0] in {ERASED, *known}
    ):
        _lock(target, owner, row[0], row[1] if row[0] != ERASED else bytes(len(row[1])))
        return row[0] != ERASED
    current = target.execute("SELECT id FROM keys ORDER BY turn DESC LIMIT 1").fetchone()
    _lock(target, owner, current[0] if current else ERASED, bytes(_WRAPPED))
    return False


def _opens(target: sqlite3.Connection, ring: Ring, who: str) -> bool:
    found = vault.resident(target, ring, who)
    return not (isinstance(found, Unnamed) and found.hidden == "damaged")


def _numbers(target: sqlite3.Connection, source: sqlite3.Connection, ring: Ring, who: str) -> None:
    """Write what a person is found by: from their own name if it can be read, else as it was."""
    found = vault.resident(target, ring, who)
    if found is not None and not isinstance(found, Unnamed):
        (name,) = target.execute("SELECT key FROM data_keys WHERE owner = ?", (who,)).fetchone()
        vault.file_under(target, ring.keys[name], found)
        return
    try:
        numbers = source.execute("SELECT digest, system FROM lookups WHERE resident = ?", (who,)).fetchall()
    except (sqlite3.Error, UnicodeError):
        return
    for digest, system in numbers:
        if isinstance(digest, bytes) and isinstance(system, str) and len(digest) == keyring.SECRET_BYTES:
            target.execute("INSERT OR IGNORE INTO lookups VALUES (?, ?, ?)", (digest, system, who))
