"""`config check | show | example` as a technician types them."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from drivers import catalogue
from gateway.config import Config, load

OVERRIDE = {"CHECKUP_GATEWAY_HTTP__PORT": "81"}


def command(*words: str | Path, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    gateway = Path(sys.executable).with_name("checkup-gateway")
    return subprocess.run(
        [gateway, "config", *map(str, words)],
        env={"PATH": "/usr/bin", "LC_ALL": "C.UTF-8", **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.toml"
    path.write_text(
        'gateway = "box-7"\n[fhir]\nurl = "http://127.0.0.1:9/fhir"\n'
        'identifier_systems = { cn-id = "urn:x" }\n'
        '[[devices]]\nname = "bp-1"\ndriver = "pm6750"\nport = "/dev/ttyS9"\nbaudrate = 9600\n'
    )
    return path


def test_check_says_ok_or_names_the_key_with_status_3(file, tmp_path):
    good = command("check", file)
    assert (good.returncode, good.stderr) == (0, "")
    assert "1 device" in good.stdout
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[http]\nprot = 1\n")
    bad = command("check", wrong)
    assert (bad.returncode, bad.stdout) == (3, "")
    assert 'http.prot: unknown key, did you mean "port"?' in bad.stderr
    assert command("check", tmp_path / "none.toml").returncode == 3


def test_check_reads_the_file_the_variable_names(file):
    assert command("check", environ={"CHECKUP_GATEWAY_CONFIG": str(file)}).stdout.startswith(str(file))


def test_show_prints_toml_that_loads_as_the_same_configuration(file, tmp_path):
    shown = command("show", file, environ=OVERRIDE)
    again = tmp_path / "again.toml"
    again.write_text(shown.stdout)
    assert load(again, {}) == load(file, OVERRIDE)


def test_show_says_where_each_value_came_from(file):
    lines = command("show", "--origin", file, environ=OVERRIDE).stdout.splitlines()
    assert "port = 81  # CHECKUP_GATEWAY_HTTP__PORT" in lines
    assert f'gateway = "box-7"  # {file}' in lines
    assert f'identifier_systems.cn-id = "urn:x"  # {file}' in lines
    assert f"baudrate = 9600  # {file}" in lines
    assert 'timezone = "Asia/Shanghai"  # default' in lines


def test_show_json(file):
    document = json.loads(command("show", "--json", "--origin", file, environ=OVERRIDE).stdout)
    assert document["schema"] == 1
    assert document["config"]["devices"][0]["name"] == "bp-1"
    assert document["origins"]["http.port"] == "CHECKUP_GATEWAY_HTTP__PORT"


def test_the_example_loads_as_it_stands_and_is_all_defaults(tmp_path):
    path = tmp_path / "example.toml"
    path.write_text(command("example").stdout)
    assert load(path, {}) == Config()


def test_the_example_loads_with_every_key_uncommented(tmp_path):
    text = re.sub(r"(?m)^#(?=[a-z\[])", "", command("example").stdout)
    path = tmp_path / "example.toml"
    path.write_text(text)
    config = load(path, {})
    assert [device.driver for device in config.devices] == list(catalogue.every())
    for device in config.devices:
        driver = catalogue.every()[device.driver]
        assert device.baudrate == getattr(driver.link, "baudrate", None)
        assert device.settings == dict(driver.settings)
    given = tomllib.loads(text)
    assert set(given) == set(Config.model_fields)
    assert set(given["fhir"]) == set(type(config.fhir).model_fields)
