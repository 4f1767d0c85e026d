"""A thermometer of the standard service: results in Celsius, by indication. Sheet sig_hts_plx_ghs_rcs."""

from datetime import datetime
from random import Random

from tools.peripherals import Peripheral, Result, stamp
from tools.simulators import Measure, OrderRefused, Show, ShowFailure, Values, decimal, scaled

TIME, SITE = 0x02, 0x04
SITES = {"armpit": 1, "ear": 3, "mouth": 6, "rectum": 7}
TENTHS, NO_NUMBER = 0xFF, b"\xff\xff\x7f\x00"


def measured(measure: Measure, at: datetime, _number: int) -> Result:
    """Return a result; `site` says where it was taken, the ear by default."""
    tenths = scaled(measure.values, "body_temperature", 1, 500)
    site = SITES.get(measure.extras.get("site", "ear"))
    if site is None:
        raise OrderRefused(f"a site is one of {', '.join(sorted(SITES))}")
    number = tenths.to_bytes(3, "little") + bytes([TENTHS])
    return _result(number, at, site, Show({"body_temperature": decimal(tenths, 1)}))


def failed(reason: str, at: datetime) -> Result:
    """Return what a thermometer tells that found nothing."""
    if reason != "no_result":
        raise OrderRefused("a thermometer says no_result")
    return _result(NO_NUMBER, at, SITES["ear"], ShowFailure(reason))


def _result(number: bytes, at: datetime, site: int, shown: Show | ShowFailure) -> Result:
    told = bytes([TIME | SITE]) + number + stamp(at) + bytes([site])
    return Result((("2A1C", told),), shown)


def person(chance: Random) -> Values:
    """Return a plausible person's temperature."""
    return {"body_temperature": decimal(chance.randint(359, 376), 1)}


MACHINES = {
    "sig_thermometer": Peripheral(
        name="Thermometer",
        service="1809",
        told={"2A1C": True},
        measured=measured,
        person=person,
        failed=failed,
    )
}
