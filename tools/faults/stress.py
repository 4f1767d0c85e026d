"""Readers, exports, checks and backups beside a writing journal, for minutes: the file must stay sound.

`python -m tools.faults.stress --minutes 10`. Each worker is a process of its own, as tools are beside the
service; one of them is killed now and then in the middle of what it does. One line of JSON says what came of
it.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from gateway import clock
from store.facts import Bound, Effective, ExamClosed, ExamOpened, Judged, Received, Value
from store.journal import Journal, Transaction
from store.queries import Queries
from store.residents import Identifier

WORKERS = ("read", "read", "export", "backup", "verify")
KILL_EVERY_S = 3.0
REST_S = 0.05
MOST_FACTS = 20_000
"""From here on it is written slowly: a check takes no longer than a round, which ends with a new journal."""
COPIES = 3


class Failed(Exception):
    """Something was lost, or is not sound."""


def stressed(home: Path, seconds: float, seed: int) -> dict[str, object]:
    """Play rounds until the time is over; raise Failed where one leaves anything but a sound file."""
    began, rounds, total = time.monotonic(), 0, {"facts": 0, "kills": 0, "files": 0}
    while (left := seconds - (time.monotonic() - began)) > 0:
        told = _round(home / str(rounds), min(left, 60.0), seed + rounds)
        total = {key: count + told[key] for key, count in total.items()}
        rounds += 1
    return {"ok": True, "rounds": rounds, "seconds": round(time.monotonic() - began), **total}


def _round(folder: Path, seconds: float, seed: int) -> dict[str, int]:
    """Write and read one journal for *seconds*; check it as it is left, and each copy that was made."""
    chance = random.Random(seed)  # noqa: S311
    folder.mkdir(parents=True)
    writer = _started("write", folder, seed)
    assert writer.stdout is not None
    try:
        first = writer.stdout.readline()
        if not first:
            raise Failed("the writer did not start")
        with _beside(folder, seed) as workers:
            kills = _watched(writer, workers, folder, time.monotonic() + seconds, chance)
    finally:
        writer.send_signal(signal.SIGTERM)
        out, _ = writer.communicate(timeout=120)
    acknowledged = [first, *out.splitlines()][-1]
    return _sound(folder, int(acknowledged)) | {"kills": kills}


def _watched(
    writer: subprocess.Popen[bytes],
    workers: list[subprocess.Popen[bytes]],
    folder: Path,
    until: float,
    chance: random.Random,
) -> int:
    """Kill a worker now and then and start another; raise Failed where one, or the writer, ends by itself."""
    kills, due = 0, time.monotonic() + KILL_EVERY_S
    while time.monotonic() < until:
        time.sleep(REST_S)
        if writer.poll() is not None:
            raise Failed(f"the writer ended with status {writer.returncode}")
        for name, worker in zip(WORKERS, workers, strict=True):
            if worker.poll() is not None:
                raise Failed(f"{name} ended with status {worker.returncode}")
        if time.monotonic() >= due:
            due += KILL_EVERY_S
            which = chance.randrange(len(workers))
            workers[which].kill()
            workers[which].communicate()
            workers[which] = _started(WORKERS[which], folder, chance.randrange(2**31))
            kills += 1
    return kills


@contextmanager
def _beside(folder: Path, seed: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    workers = [_started(name, folder, seed + number) for number, name in enumerate(WORKERS)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def _started(name: str, folder: Path, seed: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tools.faults.stress", "--worker", name, "--home", str(folder)]
    pipe = subprocess.PIPE if name == "write" else subprocess.DEVNULL
    return subprocess.Popen([*command, "--seed", str(seed)], stdout=pipe)


def _sound(folder: Path, acknowledged: int) -> dict[str, int]:
    """Check what the writer left, and every copy. Raises Failed."""
    reads = 0
    for path in (folder / "state/journal.db", *sorted(folder.glob("copy-*.db"))):
        queries = Queries(path)
        report = queries.check()
        facts = queries.counts().facts
        queries.close()
        reads += 1
        if report.problems:
            raise Failed(f"{path}: {report.problems[0]}")
        if path.name == "journal.db" and facts < acknowledged:
            raise Failed(f"{acknowledged} facts were acknowledged, {facts} are there")
    return {"facts": acknowledged, "files": reads}


def write(folder: Path, seed: int) -> None:
    """Write as the gateway does until SIGTERM; say the last acknowledged fact, first and at the end."""
    going = [True]
    signal.signal(signal.SIGTERM, lambda *_: going.clear())
    path = folder / "state/journal.db"
    journal = Journal.open(path, gateway="gw-1", now=clock.Clock().now, forwarders=("fhir",))
    last, told = 0, False
    while going:
        last = journal.submit(_visit).result()
        if not told:
            told = True
            os.write(1, b"%d\n" % last)
        time.sleep(REST_S if last > MOST_FACTS else 0)
    journal.close()
    os.write(1, b"%d\n" % last)


def _visit(tx: Transaction) -> int:
    """Examine one person at three machines; return the seq of the last fact."""
    resident = tx.resident_for([Identifier("local", f"S{tx.next_seq}")], None)
    exam = tx.next_id
    tx.append(ExamOpened(exam=exam, resident=resident.id, operator="stress"))
    for device in ("bp", "scale", "glucose"):
        key = tx.next_id
        tx.append(Received(measurement=key, device=device, began=tx.now(), **HEARD))
        rule = {"by": "rule:one_open", "reason": "one_open"}
        tx.append(Bound(measurement=key, exam=exam, resident=resident.id, **rule))
        effective = Effective(tx.now().utc, "gateway_unsynchronised", "live")
        tx.append(Judged(measurement=key, status="final", effective=effective, findings=[]))
    return tx.append(ExamClosed(exam=exam, operator="stress")).seq


HEARD: dict[str, Any] = {
    "driver": "omron_hbp",
    "serial": None,
    "reading": "blood_pressure",
    "values": {"systolic": Value("120", "mm[Hg]")},
    "evidence": ["ab" * 600],
    "device_time": None,
    "sequence": None,
    "context": {},
    "flags": [],
    "failed": None,
    "stored": False,
    "record": None,
    "clock_offset_s": None,
}


def read(queries: Queries, folder: Path, chance: random.Random) -> None:
    """Page through versions, look at what is owed, at the tray and at one exam."""
    cursor: str | None = None
    for _ in range(chance.randrange(1, 40)):
        _, cursor, more = queries.page(cursor, chance.randrange(1, 500))
        cursor = cursor if more else None
    queries.due("fhir", 50)
    queries.tray()
    for exam in queries.exams(open=False, limit=5):
        queries.exam_measurements(exam.id)


def export(queries: Queries, folder: Path, chance: random.Random) -> None:
    """Take facts out, slowly enough that checkpoints meet a reader."""
    for number, _ in enumerate(queries.facts(chance.randrange(1000))):
        if number % 500 == 0:
            time.sleep(REST_S)


def copy(queries: Queries, folder: Path, chance: random.Random) -> None:
    """Make a copy; the newest few stay, to be checked at the end."""
    there = sorted(folder.glob("copy-*.db"), key=lambda path: path.stat().st_mtime)
    for old in there[:-COPIES]:
        old.unlink()
    if queries.backup(folder / f"copy-{chance.randrange(2**40):012x}.db").problems:
        raise Failed("a copy is not sound")


def verify(queries: Queries, folder: Path, chance: random.Random) -> None:
    """Check everything while it is written."""
    if queries.check().problems:
        raise Failed("a check beside the writer finds problems")


WORK: dict[str, Callable[[Queries, Path, random.Random], None]] = {
    "read": read,
    "export": export,
    "backup": copy,
    "verify": verify,
}


def work(name: str, folder: Path, seed: int) -> None:
    """Do one kind of reading for ever, now and then with connections made anew."""
    chance = random.Random(seed)  # noqa: S311
    while True:
        queries = Queries(folder / "state/journal.db")
        try:
            for _ in range(chance.randrange(1, 10)):
                WORK[name](queries, folder, chance)
                time.sleep(REST_S)
        finally:
            queries.close()


@click.command()
@click.option("--minutes", type=float, default=10.0, show_default=True, help="How long.")
@click.option("--seed", default=1, show_default=True, help="Whom is killed, and when.")
@click.option("--worker", type=click.Choice(["write", *WORK]), hidden=True)
@click.option("--home", type=click.Path(path_type=Path), hidden=True)
def main(minutes: float, seed: int, worker: str | None, home: Path | None) -> None:
    """Read, export, check and copy a journal beside its writer, and prove that it stays sound."""
    if worker == "write" and home is not None:
        write(home, seed)
    elif worker is not None and home is not None:
        work(worker, home, seed)
    else:
        with tempfile.TemporaryDirectory(prefix="checkup-stress-") as made:
            try:
                told = stressed(home or Path(made), minutes * 60, seed)
            except Failed as failed:
                told = {"ok": False, "failed": str(failed)}
        click.echo(json.dumps(told))
        sys.exit(0 if told["ok"] else 1)


if __name__ == "__main__":
    main()
