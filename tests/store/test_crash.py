"""Killed at any moment, or out of room: what was acknowledged is there, and the journal goes on."""

import os
import random
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

from journal_making import heard, opened

from protocol.errors import DiskFull

CHILD = Path(__file__).with_name("durable_child.py")
ROOT = Path(__file__).parents[2]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": f"{CHILD.parent}{os.pathsep}{ROOT}"}


def test_twenty_kills_in_a_row_lose_nothing_acknowledged(tmp_path):
    rnd = random.Random(1871)
    acknowledged: list[str] = []
    for _ in range(20):
        child = subprocess.Popen(
            [sys.executable, str(CHILD), str(tmp_path)], stdout=subprocess.PIPE, env=environment(), bufsize=0
        )
        assert child.stdout is not None
        wanted = rnd.randrange(1, 40)
        acknowledged += [child.stdout.readline().decode().strip() for _ in range(wanted)]
        child.send_signal(signal.SIGKILL)
        rest, _ = child.communicate(timeout=30)
        acknowledged += rest[: rest.rfind(b"\n") + 1].decode().split()
        assert child.returncode == -signal.SIGKILL
    journal = opened(tmp_path)
    for key in acknowledged:
        held = journal.queries.measurement(key)
        assert held is not None
        assert held.status == "final"
    assert len(set(acknowledged)) == len(acknowledged) >= 20
    assert journal.queries.check().problems == []
    journal.submit(heard).result()
    journal.close()


def ran_out(command: list[str]) -> tuple[list[str], str]:
    """Run a child until it has no more room; return what it acknowledged and the code it ended with."""
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment(), timeout=120, check=False)
    assert done.returncode == 7
    *acknowledged, code = done.stdout.decode().split()
    return acknowledged, code


def whole_again(folder: Path, acknowledged: list[str]) -> None:
    """Assert that all that was acknowledged is there, and that with room the journal takes more."""
    journal = opened(folder)
    assert acknowledged
    assert all(journal.queries.measurement(key) is not None for key in acknowledged)
    assert journal.queries.check().problems == []
    journal.submit(heard).result()
    journal.close()


def test_a_file_that_may_not_grow_is_told_and_nothing_acknowledged_is_lost(tmp_path):
    acknowledged, code = ran_out([sys.executable, str(CHILD), str(tmp_path), "1000000"])
    assert code == "store.disk_failed"
    whole_again(tmp_path, acknowledged)


def test_a_full_disk_is_told_as_such_and_nothing_acknowledged_is_lost(tmp_path):
    """On a disk of two megabytes of our own; a box that lets nobody mount one has the two tests beside it."""
    own_mounts = ["unshare", "--mount", "--map-root-user"]
    if subprocess.run([*own_mounts, "mount", "-t", "tmpfs", "none", str(tmp_path)], check=False).returncode:
        return
    small, kept = tmp_path / "small", tmp_path / "kept"
    small.mkdir()
    child = shlex.join([sys.executable, str(CHILD), str(small), "0"])
    mount = shlex.join(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(small)])
    script = f"{mount} && {{ {child}; status=$?; cp -a {small} {kept}; exit $status; }}"
    acknowledged, code = ran_out([*own_mounts, "sh", "-c", script])
    assert code == "store.disk_full"
    whole_again(kept, acknowledged)


def test_without_room_all_of_a_commit_fail_and_with_room_the_next_goes_on(tmp_path):
    """SQLite's own limit on the file's size stands for the disk: the same error by the same way."""
    journal = opened(tmp_path)
    key = journal.submit(heard).result()

    def pages(limit):
        def command(tx):
            used = tx._connection.execute("PRAGMA page_count").fetchone()[0]
            tx._connection.execute(f"PRAGMA max_page_count = {used if limit is None else limit}")

        return command

    journal.submit(pages(None)).result()
    held = threading.Event()
    journal.submit(lambda tx: held.wait(10))
    group = [journal.submit(heard) for _ in range(100)]
    held.set()
    errors = [future.exception(10) for future in group]
    assert {type(error) for error in errors} == {DiskFull}
    assert journal.queries.counts().facts == 1
    journal.submit(pages(1_000_000)).result()
    later = journal.submit(heard).result()
    assert [one.id for one in journal.queries.tray()] == [later, key]
    assert journal.queries.check().problems == []
    journal.close()
