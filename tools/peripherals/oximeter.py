"""A pulse oximeter of the standard service that tells spot checks. Sheet sig_hts_plx_ghs_rcs."""

from datetime import datetime
from random import Random

from tools.peripherals import NAN, Peripheral, Result, sfloat, stamp
from tools.simulators import Measure, OrderRefused, Show, ShowFailure, Values, whole

TIME = 0x01


def measured(measure: Measure, at: datetime, _number: int) -> Result:
    """Return a spot check."""
    spo2, pulse = whole(measure.values, "spo2", 100), whole(measure.values, "pulse_rate", 300)
    shown = Show({"spo2": str(spo2), "pulse_rate": str(pulse)})
    return _result(sfloat(spo2) + sfloat(pulse), at, shown)


def failed(reason: str, at: datetime) -> Result:
    """Return what an oximeter tells that found nothing."""
    if reason != "no_result":
        raise OrderRefused("an oximeter says no_result")
    return _result(2 * NAN, at, ShowFailure(reason))


def _result(numbers: bytes, at: datetime, shown: Show | ShowFailure) -> Result:
    return Result((("2A5E", bytes([TIME]) + numbers + stamp(at)),), shown)


def person(chance: Random) -> Values:
    """Return a plausible person's values."""
    return {"spo2": str(chance.randint(93, 99)), "pulse_rate": str(chance.randint(55, 98))}


MACHINES = {
    "sig_oximeter": Peripheral(
        name="Oximeter",
        service="1822",
        told={"2A5E": True},
        measured=measured,
        person=person,
        failed=failed,
        readable={"2A60": b"\x00\x00"},
    )
}
