"""The configuration as text: the commented example, a driver's stanza, what is in force, the table of keys.

Everything is written from the models and the drivers themselves, so that none of it can go out of date.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from drivers.catalogue import Driver, Hid
from gateway.config import (
    BackupConfig,
    BluetoothConfig,
    Config,
    DeviceConfig,
    FhirConfig,
    HttpConfig,
    Loaded,
    RetentionConfig,
)
from gateway.stanza import comment, key_of, stanza_of, written

HEAD = """\
# Configuration of the checkup gateway.
# A line "#key = value" shows a default: take the # away to change it. `checkup-gateway config check` reads
# the file as the service will. An environment variable overrides a key: CHECKUP_GATEWAY_HTTP__PORT=8080.
"""
FHIR_HEAD = """\
# The central record. Take the # away from [fhir] and url, else nothing is sent.
"""
DEVICES_HEAD = """\
# The devices: one stanza each. `checkup-gateway devices scan` prints those it finds, with their real ports.
"""
SECTIONS: Mapping[str, type[BaseModel]] = {
    "http": HttpConfig,
    "fhir": FhirConfig,
    "backup": BackupConfig,
    "retention": RetentionConfig,
    "bluetooth": BluetoothConfig,
    "devices": DeviceConfig,
}


def _likely_port(driver: Driver, number: int) -> str:
    """Return a port of the form that fits this driver; its last part names no real one."""
    if driver.bluetooth:
        return f"ble:00:00:5E:00:53:{number:02X}"  # addresses for documentation
    if not isinstance(driver.link, Hid):
        return f"/dev/serial/by-id/usb-{driver.name}-port0"
    vendor, product = driver.link.usb[0]
    return f"usb:{vendor:04x}:{product:04x}:{driver.name}"


def example(drivers: Iterable[Driver]) -> str:
    """Return a whole commented file that loads as it stands, and with every `#` before a key taken away."""
    stanzas = (
        stanza_of(driver, driver.name, _likely_port(driver, number)) for number, driver in enumerate(drivers)
    )
    return "\n".join(
        [
            HEAD,
            *_fields(Config),
            "# " + _said(Config.model_fields["http"]),
            "[http]",
            *_fields(HttpConfig),
            FHIR_HEAD + "#[fhir]",
            *_fields(FhirConfig),
            f"# {_said(Config.model_fields['backup'])}\n#[backup]",
            *_fields(BackupConfig),
            f"# {_said(Config.model_fields['retention'])}\n#[retention]",
            *_fields(RetentionConfig),
            "# " + _said(Config.model_fields["bluetooth"]),
            "[bluetooth]",
            *_fields(BluetoothConfig),
            DEVICES_HEAD,
            *(re.sub(r"(?m)^(?=[a-z\[])", "#", text) for text in stanzas),
        ]
    )


def in_force(loaded: Loaded, *, origin: bool) -> str:
    """Return the configuration as TOML; with *origin* a comment names where each value is from."""
    lines = []
    for key, value in _flat(loaded.config.model_dump(mode="json")):
        if key.endswith("]"):
            lines += ["", f"[[{key.partition('[')[0]}]]"]
        elif value is SECTIONS:
            lines += ["", f"[{key}]"]
        elif value is not None:
            name = re.sub(r"^(devices.[0-9]+.|http|fhir|backup|retention|bluetooth)[.]", "", key)
            line = f"{name} = {written(value)}"
            lines.append(f"{line}  # {loaded.origins.get(key, 'default')}" if origin else line)
    return "\n".join(lines) + "\n"


def key_table() -> str:
    """Return every key as a Markdown table: key, type, default, meaning."""
    rows = ["| key | default | meaning |", "|---|---|---|"]
    models: dict[str, type[BaseModel]] = {"": Config, **{f"{name}.": one for name, one in SECTIONS.items()}}
    for prefix, model in models.items():
        for name, field in model.model_fields.items():
            if prefix or name not in SECTIONS:
                rows.append(f"| `{prefix}{name}` | {_default(field)} | {_said(field)} |")
    return "\n".join(rows) + "\n"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "(required)"
    return "" if field.default in (None, {}) else f"`{written(field.default)}`"


def _flat(dump: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield key path and value; a section's own path comes first, with SECTIONS or a device's index."""
    for name, value in dump.items():
        key = f"{prefix}{name}"
        if name == "devices" and isinstance(value, list):
            for index, device in enumerate(value):
                yield f"{key}[{index}]", SECTIONS
                yield from _flat(device, f"{key}[{index}].")
        elif name in SECTIONS and isinstance(value, Mapping):
            yield key, SECTIONS
            yield from _flat(value, f"{key}.")
        elif isinstance(value, Mapping):
            yield from ((f"{key}.{key_of(inner)}", item) for inner, item in value.items())
        else:
            yield key, value


def _fields(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if name in SECTIONS:
            continue
        value = (
            field.default
            if field.default not in (None, {}, PydanticUndefined)
            else (field.examples or [""])[0]
        )
        yield f"{comment(_said(field))}\n#{key_of(name)} = {written(value)}\n"


def _said(field: FieldInfo) -> str:
    return field.description or ""
