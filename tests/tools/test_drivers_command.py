"""`drivers` and the pages written from the code."""

import json
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from drivers.catalogue import every
from tools.main import cli

DOCS = Path(__file__).parents[2] / "docs"
KINDS = {"blood_pressure", "glucose", "body_size", "temperature", "oximetry", "body_composition"}
STALE = "run `python -m tools.reference`"


def test_every_driver_says_what_the_contract_asks() -> None:
    done = CliRunner().invoke(cli, ["drivers", "--json"])
    assert done.exit_code == 0
    listed = {driver["name"]: driver for driver in json.loads(done.stdout)}
    assert listed.keys() >= {"omron_hbp", "pm6750", "sinocare_sn", "scale_st_gs", "gtech_gl"}
    for driver in listed.values():
        assert driver["title"]
        assert driver["models"]
        assert driver["sources"]
        assert driver["transports"] in (["serial"], ["hid"], ["ble"])
        assert driver["grade"] in {"A", "B", "C"}
        assert driver["provenance"] in {"captured", "document", "constructed"}
        assert set(driver["kinds"]) <= KINDS
        assert isinstance(driver["not_known"], list)
    assert listed["pm6750"]["line"]["baudrate"] == 115200
    assert listed["omron_hbp"]["machine_range"]["systolic"] == ["60", "260"]


def test_a_person_reads_every_driver_and_what_is_not_known() -> None:
    text = CliRunner().invoke(cli, ["drivers"]).stdout
    for name, driver in every().items():
        assert name in text
        for gap in driver.not_known:
            assert gap in text


def test_the_device_page_is_what_the_code_says() -> None:
    page = CliRunner().invoke(cli, ["drivers", "--markdown"]).stdout
    assert (DOCS / "devices.md").read_text(encoding="utf-8") == page, STALE


def test_the_command_page_is_what_the_commands_say() -> None:
    # In a process of its own: click keeps the help option of whoever called a sub-command first.
    words = [sys.executable, "-c", "import sys, tools.reference as r; sys.stdout.write(r.commands_page())"]
    said = subprocess.run(words, check=True, capture_output=True, cwd=DOCS.parent).stdout.decode()
    assert (DOCS / "commands.md").read_text(encoding="utf-8") == said, STALE
