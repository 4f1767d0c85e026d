"""Runs only inside the virtual machine (see run.sh): elsewhere there is nothing to collect here."""

import os
import sys
from pathlib import Path

if os.environ.get("BLUETOOTH_VM"):
    sys.path.append(str(Path(__file__).parents[1] / "ble"))
else:
    collect_ignore_glob = ["*.py"]
