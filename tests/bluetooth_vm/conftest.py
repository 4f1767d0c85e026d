"""Runs only inside the virtual machine (see run.sh): elsewhere there is nothing to collect here."""

import os
import sys
from pathlib import Path

import pytest

from tests.tools import host

if os.environ.get("BLUETOOTH_VM"):
    sys.path.append(str(Path(__file__).parents[1] / "ble"))
else:
    collect_ignore_glob = ["*.py"]


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """An emulated processor is slow."""
    monkeypatch.setattr(host, "DEADLINE_S", 300.0)
