"""What docs/bluetooth.md says is shown by a test is shown by a test of that name."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "docs" / "bluetooth.md"
NAMED = re.compile(r"`(test_\w+)`")
WRITTEN = re.compile(r"^\s*(?:async )?def (test_\w+)", re.MULTILINE)
FINDINGS = 12


def written(folder: str) -> set[str]:
    texts = (path.read_text(encoding="utf-8") for path in (ROOT / "tests" / folder).glob("test_*.py"))
    return {name for text in texts for name in WRITTEN.findall(text)}


def findings() -> list[list[str]]:
    lines = BOOK.read_text(encoding="utf-8").splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("| what the real stack"))
    rows = lines[begin + 2 : begin + 2 + FINDINGS]
    assert not lines[begin + 2 + FINDINGS], "twelve findings"
    return [row.strip("|").split("|") for row in rows]


def test_every_finding_is_shown_on_the_real_stack_and_in_one_process():
    real, emulated = written("bluetooth_vm"), written("ble")
    for finding, in_the_box, in_one_process in findings():
        for named, there in ((in_the_box, real), (in_one_process, emulated)):
            names = set(NAMED.findall(named))
            assert names, finding
            assert names <= there, finding


def test_no_test_is_named_that_is_not_there():
    assert set(NAMED.findall(BOOK.read_text(encoding="utf-8"))) <= written("ble") | written("bluetooth_vm")
