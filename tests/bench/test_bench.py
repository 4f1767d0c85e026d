"""Every part of `make bench` runs and says what it promises to say; nothing here is timed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tools.bench.figures import Line, Target, percentile, plain

SAID = {
    "appends": {
        "one a commit: mean",
        "waiting: facts",
        "given to the disk",
        "one a commit: rate",
        "chain and signature",
        "syncs",
    },
    "decoding": {"clean", "noise between, checked", "framed and decoded", "garbage"},
    "wire": {
        "1 port: last byte to durable, p50",
        "16 ports at once: last byte to durable, p99",
        "lines lost",
    },
    "startup": {"ports open", "/livez", "RSS", "wake-ups", "CPU"},
    "pull": {"from the store", "over HTTP"},
    "years": {
        "bytes an exam",
        "journal opened",
        "verify a fact: all that is served, too",
        "verify a fact: chain and signatures alone",
        "pull: first page",
        "delivery: what is due",
    },
    "drain": {"to the FHIR server", "keeps nothing"},
}


def run(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "tools.bench", "--scale", "0.01", "--folder", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


def lines_of(part: str, folder: Path) -> list[dict[str, Any]]:
    told = json.loads(run(folder, "--json", "--part", part))
    assert set(told["parts"]) == {part}
    assert told["machine"]["file system"] != "unknown"
    return told["parts"][part]


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(part, marks=pytest.mark.xdist_group("fhir" if part == "drain" else f"bench-{part}"))
        for part in SAID
    ],
)
def test_a_part_says_every_figure_with_its_baseline_and_target(tmp_path: Path, part: str) -> None:
    lines = lines_of(part, tmp_path)
    for words in SAID[part]:
        assert any(words in line["what"] for line in lines), words
    assert any(line["target"] for line in lines)
    for line in lines:
        if line["ours"] is None:
            assert line["note"]
            continue
        assert line["ours"] >= 0
        if line["baseline"]:
            assert line["ratio"] == pytest.approx(line["ours"] / line["baseline"])
            assert line["against"]
        assert line["target"] is None or line["met"] in {True, False}
    assert list(tmp_path.iterdir()) == []


def test_no_line_is_lost_between_port_and_journal(tmp_path: Path) -> None:
    [lost] = [line for line in lines_of("wire", tmp_path) if line["what"].startswith("lines lost of")]
    assert (lost["ours"], lost["met"]) == (0, True)


def test_the_table_shows_target_and_verdict(tmp_path: Path) -> None:
    table = run(tmp_path, "--part", "decoding").splitlines()
    [checked] = [line for line in table if line.startswith("pm6750 framed, noise between, checked")]
    assert ">= 150,000 /s" in checked
    assert " x " in checked
    assert any(verdict in checked for verdict in ("met", "NOT MET"))


def test_targets() -> None:
    late = Target(1.5, spare=2.0)
    assert late.met(5.0, 2.0)
    assert not late.met(5.1, 2.0)
    assert late.met(5.0, None) is None
    assert Target(300, on="ours", most=False).met(300, None)
    assert not Target(0.5, most=False).met(4, 10)
    assert late.words("ms") == "<= 1.50 x + 2.00 ms"


def test_a_line_without_a_figure_has_no_verdict() -> None:
    line = Line("syncs", "", None, target=Target(1.3, on="ours"), note="strace is not installed")
    assert line.met is None
    assert "not measured" in line.row()
    assert "strace is not installed" in line.row()


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile(range(1, 101), 0.99) == 99
    assert percentile([7], 0.99) == 7


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (0.0412, "0.0412"), (1.234, "1.23"), (52.04, "52.0"), (141234, "141,234")]
)
def test_three_digits_that_matter(number: float, text: str) -> None:
    assert plain(number) == text
