"""The configuration as a technician meets it: files, variables, and the words for what is wrong."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from drivers import catalogue
from gateway import config_faults
from gateway.config import Config, DeviceConfig, load, load_with_origins
from protocol.errors import ConfigError


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "gateway.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refused(path: Path | None, environ: dict[str, str]) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(path, environ)
    return caught.value


def test_an_empty_file_gives_the_defaults(write):
    config = load(write(""), {})
    assert (config.gateway, config.http.host, config.http.port) == ("gateway-1", "127.0.0.1", 8480)
    assert config.state == Path("/var/lib/checkup-gateway")
    assert config.fhir is None
    assert config.devices == ()


def test_a_variable_wins_over_the_file_and_the_file_over_the_default(write):
    path = write('language = "en"\n[http]\nport = 1234\nhost = "127.0.0.2"\n')
    loaded = load_with_origins(path, {"CHECKUP_GATEWAY_HTTP__PORT": "81", "OTHER": "x"})
    assert loaded.config.http.port == 81
    assert loaded.config.http.host == "127.0.0.2"
    assert loaded.config.timezone == "Asia/Shanghai"
    assert loaded.origins == {
        "language": str(path),
        "http.port": "CHECKUP_GATEWAY_HTTP__PORT",
        "http.host": str(path),
    }


def test_a_list_in_a_variable_replaces_the_list_of_the_file(write):
    path = write("".join(f'[[devices]]\nname = "{n}"\ndriver = "pm6750"\nport = "/dev/{n}"\n' for n in "ab"))
    variable = '[{"name": "c", "driver": "pm6750", "port": "/dev/c"}]'
    loaded = load_with_origins(path, {"CHECKUP_GATEWAY_DEVICES": variable})
    assert [device.name for device in loaded.config.devices] == ["c"]
    assert set(loaded.origins.values()) == {"CHECKUP_GATEWAY_DEVICES"}


def test_a_section_may_stand_in_variables_alone(write):
    environ = {
        "CHECKUP_GATEWAY_FHIR__URL": "http://127.0.0.1:1/fhir/",
        "CHECKUP_GATEWAY_FHIR__MAX_ENTRIES": "8",
    }
    fhir = load(write(""), environ).fhir
    assert fhir is not None
    assert (fhir.url, fhir.max_entries) == ("http://127.0.0.1:1/fhir", 8)


def test_the_path_is_the_argument_else_the_variable(write, tmp_path):
    named = {"CHECKUP_GATEWAY_CONFIG": str(tmp_path / "other.toml")}
    assert load(write(""), named) == Config()
    error = refused(None, named)
    assert error.code == "config.missing"
    assert "other.toml" in error.detail


def test_a_configuration_cannot_be_changed(write):
    config = load(write(""), {})
    with pytest.raises(ValidationError):
        config.gateway = "other"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[http]\nprot = 1\n", 'http.prot: unknown key, did you mean "port"?'),
        ('langauge = "en"\n', 'langauge: unknown key, did you mean "language"?'),
        ("zzzzzz = 1\n", "zzzzzz: unknown key (in"),
        ("[http]\nport = 70000\n", "http.port: Input should be less than or equal to 65535"),
        ('timezone = "Asia/Peking2"\n', "timezone: not a time zone"),
        ('timezone = "../x"\n', "timezone: not a time zone"),
        ('[fhir]\nurl = "ftp://x"\n', "fhir.url: an address is http:// or https://"),
        ('[fhir]\nurl = "http://user:secret@x/fhir"\n', "no user, password or query"),
        ("[fhir]\nmax_entries = 1\n", "fhir.url: Field required"),
        (
            '[[devices]]\nname = "A B"\ndriver = "pm6750"\nport = "/dev/x"\n',
            "devices[0].name: String should match",
        ),
        ('[[devices]]\nname = "a"\ndriver = "pm6750"\nport = "COM3"\n', "devices[0].port: a port is a path"),
        (
            '[[devices]]\nname = "a"\ndriver = "pm6750"\nport = "/dev/x"\nbuadrate = 1\n',
            'devices[0].buadrate: unknown key, did you mean "baudrate"?',
        ),
        (
            '[[devices]]\nname = "a"\ndriver = "pm6750"\nport = "/dev/x"\nsettings.a = 1.5\n',
            "devices[0].settings.a: must be a text in quotes, a whole number, true or false",
        ),
        ("a = \n", "is not TOML: Invalid value (at line 1"),
    ],
)
def test_what_is_wrong_is_named_with_its_key_and_file(write, text, said):
    path = write(text)
    error = refused(path, {})
    assert error.code == "config.invalid"
    assert said in error.detail
    assert str(path) in error.detail


def test_every_fault_is_told_at_once(write):
    detail = refused(write('langauge = "en"\n[http]\nprot = 1\nport = "x"\n'), {}).detail
    assert len(detail.splitlines()) == 3


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"CHECKUP_GATEWAY_HTPP__PORT": "1"}, 'htpp: unknown key, did you mean "http"?'),
        ({"CHECKUP_GATEWAY_HTTP__PROT": "1"}, 'http.prot: unknown key, did you mean "port"?'),
        ({"CHECKUP_GATEWAY_HTTP__PORT": "x"}, "http.port: Input should be a valid integer"),
        ({"CHECKUP_GATEWAY_DEVICES": "x"}, "devices: a list or table in a variable is written as JSON"),
    ],
)
def test_a_wrong_variable_is_named(write, environ, said):
    detail = refused(write(""), environ).detail
    assert said in detail
    assert next(iter(environ)) in detail


@pytest.mark.parametrize("key", ["name", "port"])
def test_two_devices_share_neither_name_nor_port(write, key):
    devices = [{"name": "a", "port": "/dev/a"}, {"name": "b", "port": "/dev/b"}]
    devices[1][key] = devices[0][key]
    text = "".join(
        f'[[devices]]\nname = "{d["name"]}"\nport = "{d["port"]}"\ndriver = "pm6750"\n' for d in devices
    )
    detail = refused(write(text), {}).detail
    assert f"devices[1].{key}" in detail
    assert f"already devices[0].{key}" in detail


def test_an_unknown_driver_is_answered_with_the_known_ones(write):
    path = write('[[devices]]\nname = "a"\ndriver = "omron_hpb"\nport = "/dev/x"\n')
    detail = refused(path, {}).detail
    assert 'devices[0].driver: no driver "omron_hpb", did you mean "omron_hbp"?' in detail
    assert all(name in detail for name in catalogue.every())
    assert str(path) in detail


def test_a_file_that_may_not_be_read_is_no_traceback(tmp_path):
    broken = tmp_path / "latin.toml"
    broken.write_bytes(b'gateway = "\xff"\n')
    assert "is not TOML" in refused(broken, {}).detail
    assert refused(tmp_path, {}).code == "config.missing"


def test_settings_are_held_against_the_drivers_own():
    known = {"language": "zh", "history": True, "limit": 10}
    given = {"languge": "en", "history": "yes", "limit": True, "other": 1}
    assert config_faults.in_settings(given, known) == [
        'languge: unknown to this driver, did you mean "language"?; there are: language, history, limit',
        "history: must be true or false",
        "limit: must be a whole number",
        "other: unknown to this driver; there are: language, history, limit",
    ]
    assert config_faults.in_settings({"a": 1}, {}) == ["a: unknown to this driver; it has none"]
    assert config_faults.in_settings({"history": False, "limit": 3, "language": "en"}, known) == []


@pytest.mark.parametrize(
    "port",
    [
        "/dev/ttyUSB0",
        "/dev/serial/by-id/usb-x-if00-port0",
        "/dev/pts/3",
        "socket://127.0.0.1:2000",
        "rfc2217://box.example:3000",
        "usb:0483:5740",
        "usb:0483:5740:ABC-1",
    ],
)
def test_ports_a_link_understands(port):
    assert DeviceConfig(name="a", driver="pm6750", port=port).port == port
