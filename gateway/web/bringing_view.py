"""What the page shows of bringing in a Bluetooth machine: who is about, and how the pairing goes."""

from typing import TYPE_CHECKING

from drivers import catalogue
from gateway import messages
from gateway.receiving import values_of
from gateway.web.cards import failure
from gateway.web.language import mark
from gateway.web.views import Views
from gateway.web.words import listed
from protocol.readings import DeviceClock, Notice, Reading

if TYPE_CHECKING:
    from gateway.bringing import Attempt
    from gateway.pairing import Told


def bringing(views: Views) -> dict[str, object]:
    """Return the machines heard that a driver fits, how many others, and the pairing under way or done."""
    # Imported here: a gateway without Bluetooth machines needs none of it.
    from gateway.links.ble_adverts import fitting  # noqa: PLC0415
    from gateway.pairing import signal  # noqa: PLC0415

    here, tag = views.bringing, views.language.tag
    heard = [(advert, fitting(advert, catalogue.every().values())) for advert in here.adverts()]
    rows = [
        {
            "address": advert.address,
            "name": advert.name or views.language.say(mark("(no name)")),
            "signal": messages.text(signal(advert.strength), tag, strength=f"{advert.strength} dBm"),
            "drivers": [(driver.name, driver.title) for driver, _ in fits],
        }
        for advert, fits in heard
        if fits
    ]
    others = len(heard) - len(rows)
    return {
        "rows": rows,
        "others": views.language.count("{n} other device", "{n} other devices", others) if others else "",
        "fault": messages.text(here.fault, tag) if here.fault else "",
        "attempt": _attempt(views, here.attempt) if here.attempt else None,
        "operator": views.operator,
    }


def _attempt(views: Views, attempt: "Attempt") -> dict[str, object]:
    return {
        "address": attempt.address,
        "lines": [line for line in (_line(views, piece) for piece in attempt.steps) if line],
        "fault": messages.text(attempt.fault, views.language.tag) if attempt.fault else "",
        "stanza": attempt.stanza,
        "running": attempt.running,
    }


def _line(views: Views, piece: "Told") -> str:
    """Return one line of what happened, empty where it says nothing to a person."""
    from gateway.pairing import Step  # noqa: PLC0415

    language = views.language
    match piece:
        case Step(code, fields):
            return messages.text(code, language.tag, **fields)
        case Reading(failed=str(why)):
            return language.say(mark("Test, not stored: {values}"), values=failure(language, why))
        case Reading():
            values = listed(language, values_of(piece))
            return language.say(mark("Test, not stored: {values}"), values=values)
        case DeviceClock(device_time):
            said = device_time.isoformat(sep=" ", timespec="minutes")
            return language.say(mark("its clock says {time}"), time=said)
        case Notice(code) if code in messages.known_codes():
            return messages.text(code, language.tag)
        case _:
            return ""
