"""What `decode` says about any bytes: nothing lost, nothing depends on the cutting, files in either form."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from drivers.catalogue import Refusal, every
from protocol.framing import Frame, Noise
from tools.decode import decode_chunks, sift
from tools.forms import Piece
from tools.main import cli

GOOD = "55aa08030000785d50cf"
LINE = b"2026,07,11,09,05,12345678901234567890,0,120,080,072,0\r\n"
FRAMES = {
    "pm6750": bytes.fromhex(GOOD),
    "omron_hbp": LINE,
    "sinocare_sn": bytes.fromhex("534e100004040e0416103701010c0000e10076"),
    "scale_st_gs": b"ST,GS,+  12.34kg\r\n",
    "gtech_gl": bytes.fromhex("023135382e352c36302e35342c4d2c3132332e352c3637382e3903"),
}
streams = st.sampled_from(sorted(FRAMES)).flatmap(
    lambda name: st.tuples(
        st.just(name),
        st.lists(
            st.one_of(st.binary(max_size=12), st.just(FRAMES[name]), st.just(FRAMES[name][:7])), max_size=6
        ),
    )
)


def told(name: str, chunks: Iterable[bytes]) -> list[Piece]:
    pieces: list[Piece] = []
    sift(every()[name], chunks, pieces.append)
    return pieces


def raw(piece: Piece) -> bytes:
    match piece:
        case Frame(data) | Noise(data):
            return data
        case Refusal(frame):
            return frame
        case _:
            return b""


@given(streams)
def test_every_byte_is_told_once_and_in_order(stream: tuple[str, list[bytes]]) -> None:
    name, parts = stream
    assert b"".join(map(raw, told(name, parts))) == b"".join(parts)


@given(streams)
def test_the_cutting_changes_nothing_that_is_understood(stream: tuple[str, list[bytes]]) -> None:
    name, parts = stream
    whole = b"".join(parts)
    at_once = decode_chunks(every()[name], [whole])
    one_by_one = decode_chunks(every()[name], (bytes([byte]) for byte in whole))
    for one, other in ((at_once, one_by_one), (at_once, decode_chunks(every()[name], parts))):
        assert (one.frames, one.readings, one.events) == (other.frames, other.readings, other.events)
        assert one.verdict.accepted == other.verdict.accepted


def decode(*words: str) -> tuple[int, dict[str, list[dict[str, object]]]]:
    done = CliRunner().invoke(cli, ["decode", *words, "--json"])
    return done.exit_code, json.loads(done.stdout)


def test_the_contract_s_object() -> None:
    status, said = decode("pm6750", "--hex", GOOD[:8], "--hex", GOOD[8:])
    assert status == 0
    assert list(said) == ["readings", "events", "frames", "noise"]
    [reading] = said["readings"]
    assert reading["kind"] == "blood_pressure"
    assert reading["values"] == {
        "systolic": {"value": "120", "unit": "mm[Hg]"},
        "diastolic": {"value": "80", "unit": "mm[Hg]"},
        "mean_pressure": {"value": "93", "unit": "mm[Hg]"},
    }
    assert {"device_time", "sequence", "context", "flags", "failed", "stored", "record"} < reading.keys()
    assert said["frames"] == [{"hex": GOOD}]
    assert (said["events"], said["noise"]) == ([], [])


def test_above_the_range_is_a_comparator_and_the_precision_is_kept() -> None:
    _, said = decode("sinocare_sn", "--hex", "534e06 0004 02 0101 0e")
    assert said["readings"][0]["values"] == {
        "glucose": {"comparator": ">", "value": "33.3", "unit": "mmol/L"}
    }
    _, said = decode("sinocare_sn", "--hex", "53:4e:10:00:04:04:0e:04:16:10:37:01:00:32:00:00:e1:00:9b")
    assert said["readings"][0]["values"] == {"glucose": {"value": "5.0", "unit": "mmol/L"}}
    assert said["readings"][0]["device_time"] == "2014-04-22T16:55:01"


@pytest.mark.parametrize(
    ("hexes", "status", "reasons"),
    [
        (["00 ff 00", GOOD], 0, ["no frame start"]),
        ([GOOD, "00"], 0, ["no frame start"]),
        ([GOOD[:-2] + "ce", GOOD], 6, ["check failed", "no frame start"]),
        ([GOOD, GOOD[:8]], 6, ["incomplete", "no frame start"]),
        (["00 ff"], 6, ["no frame start"]),
        ([""], 6, []),
    ],
)
def test_only_a_failed_check_or_nothing_at_all_is_refused(
    hexes: list[str], status: int, reasons: list[str]
) -> None:
    words = [word for text in hexes for word in ("--hex", text)]
    code, said = decode("pm6750", *words)
    assert (code, [piece["reason"] for piece in said["noise"]]) == (status, reasons)


def test_a_refused_frame_is_noise_with_its_code_and_no_frame() -> None:
    status, said = decode("omron_hbp", "--hex", LINE.replace(b",0,120", b",0,+20").hex(), "--hex", LINE.hex())
    assert status == 6
    assert [frame["text"] for frame in said["frames"]] == [LINE.decode().strip()]
    assert said["noise"][0]["code"] == "device.malformed"
    assert said["noise"][0]["reason"]


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (LINE, "auto"),
        (LINE, "raw"),
        (LINE.hex().encode(), "auto"),
        (LINE[:20].hex(" ").encode() + b"\r\n\n" + LINE[20:].hex(":").upper().encode() + b"\n", "auto"),
        (LINE.hex().encode(), "hex"),
    ],
)
def test_a_file_of_raw_bytes_or_of_hex_lines(content: bytes, form: str, tmp_path: Path) -> None:
    (tmp_path / "capture").write_bytes(content)
    assert decode("omron_hbp", "--file", str(tmp_path / "capture"), "--form", form) == decode(
        "omron_hbp", "--hex", LINE.hex()
    )


def test_a_hex_file_with_a_wrong_line_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "capture").write_text("00 11\n0x22\n")
    done = CliRunner().invoke(
        cli, ["decode", "pm6750", "--file", str(tmp_path / "capture"), "--form", "hex", "--json"]
    )
    assert (done.exit_code, done.stdout) == (2, "")
    assert "line 2" in done.stderr


def test_a_person_reads_each_piece_in_the_stream_s_order() -> None:
    done = CliRunner().invoke(cli, ["decode", "pm6750", "--hex", "00" + GOOD + GOOD[:-2] + "ce"])
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "noise",
        "frame",
        "reading",
        "noise",
        "noise",
    ]
    assert "systolic 120 mm[Hg]" in done.stdout


def test_memory_does_not_grow_with_the_capture(tmp_path: Path) -> None:
    """The whole of a long capture is told in JSON within a little more memory than a short one takes."""
    peaks = []
    for times in (10, 6_000):
        capture = tmp_path / f"capture-{times}"
        capture.write_bytes((b"\0" * 90 + bytes.fromhex(GOOD)) * times)
        script = (
            "import resource, sys; from tools.main import cli\n"
            f"try: cli(['decode', 'pm6750', '--json', '--file', {str(capture)!r}])\n"
            "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
        assert len(json.loads(done.stdout)["readings"]) == times
        peaks.append(int(done.stderr))
    assert peaks[1] < peaks[0] + 4096
