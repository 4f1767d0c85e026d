"""Generated histories of clocks: a part of those that `python -m tools.faults.clocks` lives (10,000)."""

import pytest

from tools.faults.clocks import many

EACH = 25


@pytest.mark.parametrize("first", range(100_000, 100_000 + 8 * EACH, EACH))
def test_no_history_ends_in_a_lie(first: int) -> None:
    ways = many(first, EACH)
    assert ways.total() > EACH
