"""Pulse Oximeter Service (1822): spot checks and running values. Sources: ble/sig_hts_plx_ghs_rcs.md.

The sheet does not name the bits of the two status fields: they are those that the headers of two vendors'
stacks (plxp_common.h, and NXP's list in the same order) state; each goes along as it was sent, too.
"""

from collections.abc import Mapping

from protocol.errors import MalformedValue
from protocol.gatt.fields import Fields, Moment, Number, bits, shown, unknown_moment
from protocol.ieee11073 import Special
from protocol.quantities import Quantity
from protocol.readings import Kind, Measure, Progress, Reading

SPOT, CONTINUOUS, FEATURE = "2A5E", "2A5F", "2A60"
STATUS = {
    5: "measurement_ongoing",
    6: "early_estimate",
    12: "calibration_ongoing",
    13: "unavailable",
    14: "questionable",
    15: "invalid",
}
STORED, DEMONSTRATION, TESTING = 1 << 9, 1 << 10, 1 << 11
NO_VALUE = 1 << 13 | 1 << 15
SENSOR = {
    1: "device_fault",
    3: "inadequate_signal",
    4: "poor_signal",
    5: "weak_perfusion",
    6: "erratic_signal",
    7: "no_pulsation",
    8: "questionable_pulse",
    10: "interference",
    11: "no_finger",
    12: "unknown_sensor",
    13: "sensor_displaced",
    14: "sensor_malfunction",
    15: "sensor_off",
}
FULL, FASTEST = 100, 500
"""SpO2 is a share; the pulse's limit is ours, wide on purpose."""


def spot_check(data: bytes) -> Reading:
    """Return the result in a Spot-Check Measurement (2A5E)."""
    fields = Fields(data)
    flags, spo2, pulse = fields.number(1), fields.sfloat(), fields.sfloat()
    moment = fields.moment() if flags & 0x01 else None
    status = fields.number(2) if flags & 0x02 else 0
    sensor = fields.number(3) if flags & 0x04 else 0
    context = _context(fields, status, sensor, amplitude=bool(flags & 0x08))
    if moment is not None and flags & 0x10:
        moment = unknown_moment(bytes.fromhex(moment.raw))
    return _reading(data, (spo2, pulse), (status, sensor), context, moment)


def continuous(data: bytes) -> Reading | Progress:
    """Return the running values (2A5F); without a finger nothing is being measured."""
    fields = Fields(data)
    flags, spo2, pulse = fields.number(1), fields.sfloat(), fields.sfloat()
    context: dict[str, str] = {}
    for bit, speed in ((0x01, "fast"), (0x02, "slow")):
        if flags & bit:
            context |= {f"{speed}_spo2": shown(fields.sfloat()), f"{speed}_pulse": shown(fields.sfloat())}
    status = fields.number(2) if flags & 0x04 else 0
    sensor = fields.number(3) if flags & 0x08 else 0
    context |= _context(fields, status, sensor, amplitude=bool(flags & 0x10))
    if isinstance(spo2, Special):
        return Progress(Kind.OXIMETRY, {}, "no_finger", underway=False)
    return _reading(data, (spo2, pulse), (status, sensor), context | {"stability": "not stated"}, None)


def _context(fields: Fields, status: int, sensor: int, *, amplitude: bool) -> dict[str, str]:
    context = {"pulse_amplitude_index": shown(fields.sfloat())} if amplitude else {}
    if status:
        context["status"] = f"{status:04x}"
    if sensor:
        context["sensor_status"] = f"{sensor:06x}"
    if extra := fields.left():
        context["extra"] = extra.hex()
    return context


def _reading(
    data: bytes,
    numbers: tuple[Number, Number],
    statuses: tuple[int, int],
    context: Mapping[str, str],
    moment: Moment | None,
) -> Reading:
    status, sensor = statuses
    values = _values(*numbers)
    failed = _failure(values, status)
    told = "/".join(shown(number) for number in numbers)
    seen = {*bits(status, STATUS), *bits(sensor, SENSOR)}
    return Reading(
        Kind.OXIMETRY,
        {} if failed else values,
        (data,),
        device_time=moment.at if moment else None,
        context={**context, **(moment.context if moment else {}), **({"stated": told} if failed else {})},
        flags=frozenset(seen) | (moment.flags if moment else frozenset()),
        failed=failed,
        stored=moment is not None or bool(status & STORED),
        record=None if moment is None else f"oximetry {moment.name} {told}",
    )


def _values(spo2: Number, pulse: Number) -> dict[Measure, Quantity]:
    values = {}
    for measure, number, unit, most in (
        (Measure.SPO2, spo2, "%", FULL),
        (Measure.PULSE_RATE, pulse, "/min", FASTEST),
    ):
        if isinstance(number, Special):
            continue
        if not 0 < number <= most:
            raise MalformedValue(f"{measure} {shown(number)} was measured by no oximeter")
        values[measure] = Quantity(number, unit)
    return values


def _failure(values: Mapping[Measure, Quantity], status: int) -> str | None:
    if status & (DEMONSTRATION | TESTING):
        return "demonstration"
    return "no_result" if Measure.SPO2 not in values or status & NO_VALUE else None
