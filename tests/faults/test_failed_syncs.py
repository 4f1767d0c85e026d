"""A sync that fails once and forgets, then a process that starts on what the kernel still shows of it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.journal_making import opened
from tools.faults import plugfs
from tools.faults.disk import Choice, Disk
from tools.faults.states import lay

pytestmark = pytest.mark.xdist_group("faults")
ROOT = Path(__file__).parents[2]
CHILD = ROOT / "tests/store/durable_child.py"
SYNCS = range(6, 22, 3)
"""Those of a first start and its first commits; the one after which a file of names is made is among them."""


@pytest.fixture(scope="module")
def plugs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[plugfs.PlugFs, Path]]:
    folder = tmp_path_factory.mktemp("plugs") / "mount"
    with plugfs.mounted(folder) as made:
        yield made, folder


def child(folder: Path) -> subprocess.Popen[bytes]:
    """Start a process that writes measurements without end and tells which are on disk."""
    command = [sys.executable, str(CHILD), str(folder)]
    paths = os.environ | {"PYTHONPATH": f"{CHILD.parent}{os.pathsep}{ROOT}"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=paths, bufsize=0)


def told(process: subprocess.Popen[bytes], least: int = 0) -> list[str]:
    """Return what *process* acknowledged: *least* lines and then, once it was killed, the rest."""
    with process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(least)]
        if least:
            process.kill()
        lines += process.stdout.readlines()
    return [line.decode().strip() for line in lines if line.endswith(b"\n")]


@pytest.mark.parametrize("number", SYNCS)
def test_what_is_acknowledged_after_a_failed_sync_survives_a_power_cut(
    tmp_path: Path, plugs: tuple[plugfs.PlugFs, Path], number: int
) -> None:
    volume = plugs[0].volumes[f"disk-{number}"] = plugfs.Volume({})
    volume.forgets = number
    first = child(plugs[1] / f"disk-{number}")
    volume.when_forgotten = first.kill
    acknowledged = told(first)
    assert volume.forgets is None, "no sync failed"
    acknowledged += told(child(plugs[1] / f"disk-{number}"), least=5)
    disk = Disk("posix", {})
    for op in volume.log:
        disk.feed(op)
    lay(disk.image(Choice("drop", ())), tmp_path / "after")
    journal = opened(tmp_path / "after")
    assert [key for key in acknowledged if journal.queries.measurement(key) is None] == []
    assert journal.queries.check().problems == []
    journal.close()
