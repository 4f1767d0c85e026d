"""What may name a person, and so is sealed or left out before it is written."""

import ctypes
import logging
import re
import resource
from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from drivers.catalogue import Driver
from protocol.readings import PERSONAL
from store.facts import DeviceEvent
from store.residents import Resident

log = logging.getLogger(__name__)

FRAME = "frame"
"""Where an event's detail has the frame it came in."""
PR_SET_DUMPABLE = 4
_encode = msgspec.json.encode


def open_part(driver: Driver, frames: Sequence[bytes], *, named: bool) -> list[bytes] | None:
    """Return what of *frames* may stand open, each with the person blanked if that can be done.

    None where nothing in them names anybody, so that all may stand as they came. *named*: the driver found
    somebody in them.
    """
    if driver.redact is not None:
        blank = [driver.redact(frame) for frame in frames]
        return None if blank == list(frames) else blank
    return [] if driver.names_people or named else None


def event(driver: Driver, told: DeviceEvent) -> tuple[DeviceEvent, bytes | None]:
    """Return the event as it may stand open, and its whole detail as it is to be sealed, if it must be."""
    frame = told.detail.get(FRAME)
    named = not PERSONAL.isdisjoint(told.detail)
    if frame is None and not named:
        return told, None
    left = open_part(driver, [bytes.fromhex(frame)] if frame else [], named=named)
    if left is None:
        return told, None
    kept = {name: said for name, said in told.detail.items() if name not in PERSONAL | {FRAME}}
    if left:
        kept[FRAME] = left[0].hex()
    return DeviceEvent(told.device, told.code, kept), _encode(told.detail)


def unnamed(text: str, resident: Resident) -> str:
    """Return what another system answered without the resident's numbers, name and birth date in it."""
    known = [*(one.value for one in resident.identifiers), resident.name, resident.birth_date]
    said = [one for one in known if one]
    said += [born.replace("-", "") for born in [resident.birth_date] if born]
    forms = sorted({form for one in said for form in (one, quote(one), quote(one, safe=""))}, key=len)
    pattern = "|".join(re.escape(form) for form in reversed(forms))
    return re.sub(pattern, "…", text, flags=re.IGNORECASE) if pattern else text


def no_dumps() -> None:
    """Let no core dump of this process be written: names stand in its memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        log.warning("core dumps could not be switched off")
