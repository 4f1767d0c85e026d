"""The PHD guide's rules for a record's time (STANDARDS §3.2), row by row, and the page that tells them."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gateway.times import HOW, TIMELINE, Kept, Record, Stamp, placed

PAGE = (Path(__file__).parents[2] / "docs" / "time.md").read_text(encoding="utf-8")
ZONE = ZoneInfo("Asia/Shanghai")
CONTACT = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
SLOW = timedelta(minutes=6)
AGE = timedelta(hours=2)
"""The machine is six minutes slow, and told a record two hours old (the guide's own example)."""
SHOWN: dict[Stamp, datetime | timedelta] = {
    "utc": CONTACT - SLOW,
    "local": (CONTACT - SLOW).astimezone(ZONE).replace(tzinfo=None),
    "ticks": timedelta(seconds=100_000),
}
MADE = CONTACT - AGE
AS_SAID = MADE - SLOW

GUIDE: list[tuple[Stamp, bool, Kept, datetime | None]] = [
    # stamp, of the current timeline, the machine's clock is kept, when it was made
    ("utc", True, "better", AS_SAID),
    ("utc", True, "worse", MADE),
    ("utc", True, "none", MADE),
    ("utc", False, "better", AS_SAID),
    ("utc", False, "worse", AS_SAID),
    ("utc", False, "none", None),
    ("local", True, "better", AS_SAID),
    ("local", True, "worse", MADE),
    ("local", True, "none", MADE),
    ("local", False, "better", AS_SAID),
    ("local", False, "worse", AS_SAID),
    ("local", False, "none", None),
    ("ticks", True, "better", MADE),
    ("ticks", True, "worse", MADE),
    ("ticks", True, "none", MADE),
    ("ticks", False, "better", None),
    ("ticks", False, "worse", None),
    ("ticks", False, "none", None),
]


@pytest.mark.parametrize(("stamp", "current", "kept", "made"), GUIDE)
def test_row(stamp: Stamp, current: bool, kept: Kept, made: datetime | None) -> None:
    shown = SHOWN[stamp]
    assert placed(Record(stamp, shown - AGE, shown, current, kept), CONTACT, ZONE) == made


def test_the_table_is_whole_and_five_rows_have_no_time() -> None:
    assert {row[:3] for row in GUIDE} == set(TIMELINE)
    assert len(GUIDE) == 18
    assert sum(row[3] is None for row in GUIDE) == 5


def test_a_record_of_the_machines_own_future_counts_for_the_contact_at_most() -> None:
    shown = CONTACT - SLOW
    assert placed(Record("utc", shown + AGE, shown, True, "none"), CONTACT, ZONE) == CONTACT


def test_the_page_has_the_table() -> None:
    rows = re.findall(r"^\| (utc|local|ticks) \| (yes|no) \| (better|worse|none) \| (.*?) \|$", PAGE, re.M)
    told = {(stamp, current == "yes", kept): action for stamp, current, kept, action in rows}
    assert told == TIMELINE


def test_the_page_names_every_way_a_time_is_known() -> None:
    rows = re.findall(r"^\| \*([^*]+)\* \|", PAGE, re.M)
    assert rows == list(HOW.values())
