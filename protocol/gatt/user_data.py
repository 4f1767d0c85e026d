"""User Data Service (181C): logging in as a user of a scale. Source: ble/sig_wss_bcs_uds.md.

Only the consent of a user that exists can be built: registering, changing or deleting one cannot.
"""

from collections.abc import Iterator

from protocol.gatt.fields import Fields
from protocol.readings import Event, Notice

CONTROL_POINT = "2A9F"
CONSENT, RESPONSE = 0x02, 0x20
CONSENT_CODES = range(10_000)
USERS = range(255)
RESULTS = {
    1: "success",
    2: "operation_not_supported",
    3: "invalid_parameter",
    4: "operation_failed",
    5: "user_not_authorized",
}


def consent(user: int, code: int) -> bytes:
    """Return what logs in as *user* with the consent code; ValueError for what is none."""
    if user not in USERS or code not in CONSENT_CODES:
        raise ValueError(f"no user or consent code: {user} {code}")
    return bytes([CONSENT, user]) + code.to_bytes(2, "little")


def result(data: bytes) -> str | None:
    """Return how a login ended; None for any other value."""
    fields = Fields(data)
    if fields.number(1) != RESPONSE or fields.number(1) != CONSENT:
        return None
    code = fields.number(1)
    return RESULTS.get(code, f"result {code}")


def told(data: bytes) -> Iterator[Event]:
    """Yield what a value of the control point says."""
    ended = result(data)
    if ended is None:
        yield Notice("user_data.answered", {"value": data.hex(" ")})
    elif ended == RESULTS[1]:
        yield Notice("user_data.logged_in")
    else:
        yield Notice("user_data.refused", {"reason": ended}, fault=True)
