"""A plug-in that is broken costs nobody else's machine: real files, real entry points, real commands."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

GOOD = """
from dataclasses import replace
from drivers.omron_hbp import DRIVER
DRIVER = replace(DRIVER, name="omron_clone", title="A clone")
"""
PLUGINS = {
    "good": GOOD,
    "broken": "import no_such_module_of_theirs",
    "double": "from drivers.gtech_gl import DRIVER",
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a folder as an installer leaves it, with three plug-ins."""
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    points = [f"{name} = their_{name}:DRIVER" for name in PLUGINS]
    (info / "entry_points.txt").write_text("\n".join(["[checkup_gateway.drivers]", *points, ""]))
    for name, text in PLUGINS.items():
        (tmp_path / f"their_{name}.py").write_text(text)
    return tmp_path


def gateway(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.main", *words],
        env={**os.environ, "PYTHONPATH": str(site), "CHECKUP_LANGUAGE": "en"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_others_are_there_and_the_broken_one_is_named(site):
    listed = gateway(site, "drivers", "--json")
    names = [driver["name"] for driver in json.loads(listed.stdout)]
    assert listed.returncode == 0
    assert {"omron_clone", "gtech_gl", "pm6750"} <= set(names)
    assert names.count("gtech_gl") == 1
    assert "broken (their_broken:DRIVER) could not be loaded (ModuleNotFoundError" in listed.stderr
    assert "double (their_double:DRIVER) could not be loaded (a driver named gtech_gl" in listed.stderr


def test_a_device_that_needs_it_is_refused_with_the_reason(site):
    config = site / "gateway.toml"
    config.write_text('[[devices]]\nname = "clone"\ndriver = "theirs"\nport = "/dev/null"\n')
    checked = gateway(site, "config", "check", str(config))
    assert checked.returncode == 3
    assert "their_broken" in checked.stdout + checked.stderr
