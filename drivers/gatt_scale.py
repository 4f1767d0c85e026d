"""What the drivers of standard Bluetooth scales share: the login of a user; a helper, no driver itself."""

from collections.abc import Mapping

from drivers.dialogue import Settings, Subscribe, Write
from drivers.gatt_contact import SETTINGS, Part
from protocol.errors import ConfigError, NoAnswer
from protocol.gatt.user_data import CONTROL_POINT, consent

QUIET = 8.0
"""Seconds of silence after the last result: a composition may follow a weight (ble/scales_vendor.md)."""
ONLY_ADVERTISE = ("MI_SCALE", "MIBFS", "MIBCS")
"""Names of Xiaomi's scales, which offer these services and tell nothing to who connects."""
NOBODY = -1
SCALE_SETTINGS: Mapping[str, str | int | bool] = {"user": NOBODY, "consent": 0, **SETTINGS}
"""`user` and `consent` log in at a scale that tells nothing else; a person chose both at the scale."""


def login(settings: Settings) -> bytes:
    """Return what logs the configured user in, nothing where none is; raise ConfigError for what is none."""
    user, code = int(settings["user"]), int(settings["consent"])
    if user == NOBODY:
        return b""
    try:
        return consent(user, code)
    except ValueError as wrong:
        raise ConfigError(str(wrong), code="gatt_scale.settings") from wrong


def listened_to(asked: bytes, needed: str, *wanted: str) -> Part:
    """Subscribe to *wanted* and *needed* and log in; raise NoAnswer where there is no *needed*."""
    controlled = bool(asked) and (yield Subscribe(CONTROL_POINT)) is True
    for characteristic in wanted:
        yield Subscribe(characteristic)
    if (yield Subscribe(needed)) is not True:
        raise NoAnswer(f"no characteristic {needed}")
    if controlled:
        yield Write(CONTROL_POINT, asked)
