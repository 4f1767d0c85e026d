"""The real service on a real file system that fills up, or that the kernel makes read-only.

Where nobody may mount anything these tests end at once; `test_space.py` has the parts on any machine.
"""

import subprocess
from pathlib import Path

from gateway import messages
from gateway.space import IN_USE
from tests.keeping.analyser import Analyser
from tests.keeping.clinic import Clinic, until
from tests.keeping.small_disk import ROOT, Kind, small_disk

FULL = "store.disk_full"


def page_says(clinic: Clinic, code: str) -> bool:
    page = clinic.get("/")
    return page is not None and messages.text(code, "en").partition("`")[0] in page.text.replace("&#39;", "'")


def test_a_full_disk_lets_the_open_exam_end_refuses_loudly_and_goes_on_by_itself(tmp_path: Path) -> None:
    kind: Kind = "ext4" if ROOT else "tmpfs"
    with small_disk(tmp_path / "disk", kind) as disk, Analyser() as analyser:
        if disk is None:
            return
        clinic = Clinic(tmp_path, disk.point / "state", analyser.port, disk)
        with clinic.running():
            assert clinic.open_exam().is_success
            until(analyser.sends, "the analyser is heard")
            reserve = disk.seen / "state/reserve"
            whole = reserve.stat().st_size
            ballast = disk.fill()

            assert analyser.sends(), "the reserve does not let the open exam end"
            until(lambda: clinic.reasons() == [IN_USE], "the reserve is in use")
            assert page_says(clinic, IN_USE)
            refused = clinic.open_exam()
            assert (refused.status_code, refused.json()["code"]) == (507, "exam.no_room")
            while analyser.sends():
                pass
            assert len(analyser.taken) >= 5
            assert reserve.stat().st_size == 0
            until(lambda: FULL in clinic.reasons(), "the full disk is said")
            refused = clinic.open_exam()
            assert (refused.status_code, refused.json()["code"]) == (503, FULL)
            assert page_says(clinic, FULL)
            assert clinic.stored() == sorted(analyser.taken)

            ballast.unlink()
            until(clinic.ready, "the gateway is ready again")
            assert until(lambda: reserve.stat().st_size == whole, "the reserve is whole again")
            until(analyser.sends, "the analyser is heard again")
            assert clinic.open_exam().is_success
            assert clinic.stored() == sorted(analyser.taken)
        log = clinic.log.read_text()
        assert {f'"code": "{FULL}"' in log, f'"code": "{IN_USE}"' in log} == {True}
        assert not clinic.tool("journal", "verify").returncode


def test_a_start_on_a_full_disk_takes_what_it_needs_from_the_reserve(tmp_path: Path):
    with small_disk(tmp_path / "disk", "tmpfs") as disk, Analyser() as analyser:
        if disk is None:
            return
        clinic = Clinic(tmp_path, disk.point / "state", analyser.port, disk)
        with clinic.running():
            until(analyser.sends, "the analyser is heard")
        ballast = disk.fill()
        clinic.start()
        until(lambda: clinic.reasons() == [IN_USE], "the gateway runs on the reserve")
        until(analyser.sends, "the analyser is heard")
        assert clinic.stored() == sorted(analyser.taken)
        ballast.unlink()
        until(clinic.ready, "the gateway is ready again")
        assert clinic.gateway is not None
        clinic.gateway.terminate()
        clinic.gateway.wait()


def test_a_disk_the_kernel_made_read_only_is_said_and_a_start_after_its_mending_goes_on(tmp_path: Path):
    """An ext4 that met an error takes no write until it is unmounted, checked and mounted anew."""
    if not ROOT:
        return
    with small_disk(tmp_path / "disk", "ext4") as disk, Analyser() as analyser:
        if disk is None:
            return
        clinic = Clinic(tmp_path, disk.point / "state", analyser.port, disk)
        with clinic.running():
            until(analyser.sends, "the analyser is heard")
            disk.force_read_only()
            assert not analyser.sends()
            until(lambda: "store.read_only" in clinic.reasons(), "the read-only disk is said")
            assert page_says(clinic, "store.read_only")
            assert clinic.stored() == analyser.taken
            found = clinic.tool("doctor").stdout
            assert "Nothing can be stored" in found
            assert not disk.run("umount", "-l", disk.point).returncode
            until(lambda: clinic.reasons() == ["no answer"], "the gateway ends: its journal is gone")
        assert "store.moved" in clinic.log.read_text()
        subprocess.run(["e2fsck", "-fy", disk.image], capture_output=True, check=False)
        disk.mount()
        with clinic.running():
            until(analyser.sends, "the analyser is heard again")
            assert clinic.stored() == sorted(analyser.taken)
        assert not clinic.tool("journal", "verify").returncode


def test_a_start_on_a_read_only_disk_says_so(tmp_path: Path):
    with small_disk(tmp_path / "disk", "tmpfs") as disk, Analyser() as analyser:
        if disk is None:
            return
        clinic = Clinic(tmp_path, disk.point / "state", analyser.port, disk)
        with clinic.running():
            until(analyser.sends, "the analyser is heard")
        assert not disk.run("mount", "-o", "remount,ro", disk.point).returncode
        ended = clinic.start()
        assert ended.wait(60) == 1
        assert "store.read_only" in clinic.log.read_text()
        assert not disk.run("mount", "-o", "remount,rw", disk.point).returncode
        with clinic.running():
            assert clinic.stored() == analyser.taken
