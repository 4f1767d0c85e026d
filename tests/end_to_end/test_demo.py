"""The whole job: real protocols on pseudo-terminals, the real service, a real FHIR server, five places."""

import json
import subprocess
import sys

import pytest


@pytest.mark.xdist_group("end-to-end")
def test_twenty_exams_agree_in_all_five_places() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tools.main", "demo", "--once", "--exams", "20", "--json"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    result = json.loads(ran.stdout)
    assert result["ok"]
    assert result["faults"] == []
    assert result["exams"] == 20
    bluetooth = 20 * ("sig_blood_pressure" in result["machines"])
    assert ("no Bluetooth machine is shown: " in ran.stderr) == (not bluetooth)
    assert result["measurements"] == 70 + bluetooth
    assert result["places"] == ["machine", "journal", "page", "pull", "fhir"]
    # Four comparisons a value, less the mean pressures (one or two an exam), which the page does not show.
    assert result["comparisons"] == 4 * result["values"] - 20 - bluetooth
