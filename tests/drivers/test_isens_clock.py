"""The clock setting of i-SENS meters (ble/glucose_meters_intl.md): nothing sends it, no meter says it."""

from typing import Any

import pytest

from drivers.catalogue import Refusal
from tests.ble_rows import decoded, rows


@pytest.mark.parametrize("row", rows("i-SENS"), ids=lambda row: row["id"])
@pytest.mark.parametrize("source", ["FFF1", "2A18"])
def test_a_hosts_clock_setting_is_no_word_of_a_meter(row: dict[str, Any], source: str) -> None:
    said = decoded("sig_glucose", bytes.fromhex(row["hex"]), source=source)
    assert [type(item) for item in said] == [Refusal]
