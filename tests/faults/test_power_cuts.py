"""The model of a disk without power, and the harness on it: one planted fault found, a sound life clean."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.faults import plugfs
from tools.faults.disk import Choice, Disk, Named, Sync, SyncFolder, Truncate, Unnamed, Write

pytestmark = pytest.mark.xdist_group("faults")


def states(disk: Disk) -> list[dict[str, bytes]]:
    return [disk.image(choice) for choice in disk.choices(range(40))]


def test_what_was_synced_is_in_every_state_and_what_was_not_is_missing_in_one():
    disk = Disk("posix", {"old": b"12345"})
    for op in (Write(2, 0, b"AB"), Sync(2), Write(2, 2, b"CD")):
        disk.feed(op)
    found = {state["old"] for state in states(disk)}
    assert found == {b"AB345", b"ABCD5"}


def test_a_write_is_torn_only_between_sectors():
    disk = Disk("posix", {"f": bytes(2048)})
    disk.feed(Write(2, 256, b"x" * 1024))
    cuts = {state["f"].count(b"x") for state in states(disk)}
    assert cuts >= {0, 256, 512, 768, 1024}
    assert cuts <= set(range(0, 1025, 256))


@pytest.mark.parametrize(("model", "there"), [("posix", set()), ("ext4", {"new"})])
def test_a_new_name_is_durable_once_its_folder_was_synced_or_on_ext4_with_any_file(model, there):
    disk = Disk(model, {"other": b""})
    for op in (Named("new", 9), Write(9, 0, b"x"), Sync(9)):
        disk.feed(op)
    assert set(disk.image(Choice("drop", ()))) == {"other"} | there
    disk.feed(SyncFolder(""))
    assert disk.image(Choice("drop", ()))["new"] == b"x"


def test_a_file_is_out_of_reach_until_the_name_of_its_folder_is_durable():
    disk = Disk("posix", {})
    for op in (Named("d", 5, folder=True), Named("d/f", 6), Write(6, 0, b"x"), Sync(6), SyncFolder("d")):
        disk.feed(op)
    assert disk.image(Choice("drop", ())) == {}
    disk.feed(SyncFolder(""))
    assert disk.image(Choice("drop", ())) == {"d/f": b"x"}


def test_a_renamed_file_has_one_of_its_names_and_a_removed_one_may_be_back():
    disk = Disk("posix", {"a": b"new", "b": b"old"})
    disk.feed(Named("b", 2, "a"))
    assert [disk.image(one) for one in (Choice("drop", ()), Choice("all", tuple(disk.pending)))] == [
        {"a": b"new", "b": b"old"},
        {"b": b"new"},
    ]
    disk.feed(SyncFolder(""))
    disk.feed(Unnamed("b", 2))
    assert disk.image(Choice("drop", ())) == {"b": b"new"}


@given(
    st.lists(
        st.one_of(
            st.builds(Write, st.integers(2, 3), st.integers(0, 900), st.binary(max_size=700)),
            st.builds(Truncate, st.integers(2, 3), st.integers(0, 900)),
            st.builds(Sync, st.integers(2, 3)),
        ),
        max_size=12,
    )
)
def test_after_a_sync_of_all_every_state_is_what_a_plain_file_would_hold(ops):
    disk, plain = Disk("posix", {"a": b"", "b": b""}), {2: bytearray(), 3: bytearray()}
    for op in ops:
        disk.feed(op)
        if isinstance(op, Write):
            plain[op.ino].extend(bytes(max(0, op.at - len(plain[op.ino]))))
            plain[op.ino][op.at : op.at + len(op.data)] = op.data
        elif isinstance(op, Truncate):
            plain[op.ino][:] = plain[op.ino][: op.size].ljust(op.size, b"\0")
    for ino in (2, 3):
        disk.feed(Sync(ino))
    assert all(state == {"a": plain[2], "b": plain[3]} for state in states(disk))


def test_the_mounted_file_system_logs_what_is_asked_of_it_and_stops_when_the_power_goes(tmp_path):
    with plugfs.mounted(tmp_path / "m") as plugs:
        volume = plugs.volumes["v"] = plugfs.Volume({"kept": b"1"})
        place = tmp_path / "m/v"
        assert place.joinpath("kept").read_bytes() == b"1"
        place.joinpath("new").write_bytes(b"22")
        place.joinpath("new").rename(place / "kept")
        folder = os.open(place, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        [made, written, renamed, synced] = [op for op in volume.log if not isinstance(op, Truncate)]
        assert (made.path, written.data, renamed.path, renamed.old, synced) == (
            "new", b"22", "kept", "new", SyncFolder(""),
        )  # fmt: skip
        volume.cut_at = len(volume.log)
        with pytest.raises(OSError, match="Input/output"):
            place.joinpath("more").write_bytes(b"3")
        assert len(volume.log) == volume.cut_at


def run(*arguments: str, path: str | None = None) -> tuple[int, dict[str, object]]:
    environment = os.environ | ({"PATH": path} if path is not None else {})
    done = subprocess.run(
        [sys.executable, "-m", "tools.faults", *arguments],
        cwd=Path(__file__).parents[2], env=environment, stdout=subprocess.PIPE, timeout=240, check=False,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout.decode().splitlines()[-1])


def test_a_few_cuts_and_one_planted_fault_end_in_one_line_of_json():
    status, told = run("--only", "synchronous_off", "--cuts", "3")
    assert (status, told["ok"], told["planted"], told["caught"]) == (0, True, 1, 1)
    assert (told["live_cuts"], told["lost"], told["not_opened"], told["twice"]) == (3, 0, 0, 0)


def test_without_fuse_it_fails_and_says_what_is_missing():
    status, told = run("--only", "synchronous_off", path="/nowhere")
    assert status == 1
    assert any("fuse3" in str(words) for words in told["wrong"])
