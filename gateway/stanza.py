"""A device's stanza of the configuration as text, written from its driver."""

import json
import re
import textwrap
from collections.abc import Mapping

from drivers.catalogue import AnyLink, Driver, Serial
from drivers.dialogue import Settings


def written(value: object) -> str:
    """Return *value* as TOML writes it on one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key_of(key)} = {written(item)}" for key, item in value.items()) + " }"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def stanza_of(driver: Driver, name: str, port: str) -> str:
    """Return the stanza of one device, its line settings and the driver's own settings as comments."""
    defaults = {
        **_line(driver.link),
        **{f"settings.{key_of(key)}": value for key, value in driver.settings.items()},
    }
    lines = [
        comment(f"{driver.title}: {', '.join(driver.models)}"),
        "[[devices]]",
        f"name = {written(name)}",
        f"driver = {written(driver.name)}",
        f"port = {written(port)}",
        *(f"#{key} = {written(value)}" for key, value in defaults.items()),
    ]
    return "\n".join(lines) + "\n"


def _line(link: AnyLink) -> Mapping[str, str | int | bool]:
    if not isinstance(link, Serial):
        return {}
    return {
        "baudrate": link.baudrate,
        "bytesize": link.bytesize,
        "parity": link.parity,
        "stopbits": link.stopbits,
    }


def stanza_with(driver: Driver, settings: Settings, port: str) -> str:
    """Return the stanza of a device with the settings that were needed to speak to it taken as stated."""
    text = stanza_of(driver, f"{driver.name}-1", port)
    for name, default in driver.settings.items():
        before, after = written(default), written(settings[name])
        if before != after:
            text = text.replace(f"#settings.{name} = {before}", f"settings.{name} = {after}")
    return text


def comment(text: str) -> str:
    """Return *text* as comment lines."""
    return textwrap.fill(text, 108, initial_indent="# ", subsequent_indent="# ")


def key_of(name: str) -> str:
    """Return *name* as TOML writes a key."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)
