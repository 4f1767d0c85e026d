"""Pulse oximeters of the standard Bluetooth service 1822, as the Nonin 3230.

A spot check (2A5E) is a result. Running values (2A5F) are shown beside it; of an oximeter that has no spot
checks they are taken once they have stood still (`equal_values` is ours), and again only after the finger was
out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from drivers.catalogue import Decode, Decoded, Driver, Gatt
from drivers.dialogue import Dialogue, Settings, Subscribe
from drivers.gatt_contact import SETTINGS, Contact, by_characteristic, one, paired
from protocol.errors import NoAnswer
from protocol.framing import Frame, ValueFramer
from protocol.gatt import pulse_oximeter as service
from protocol.readings import Kind, Measure, Progress, Reading
from protocol.steady import Steady

QUIET = 5.0
"""Ours: seconds of silence after the last result; running values come every second."""

decode = by_characteristic(
    service.SPOT, {service.SPOT: one(service.spot_check), service.CONTINUOUS: one(service.continuous)}
)


def settling(steady: Steady[str] | None) -> Decode:
    """Return the decoding of one contact: running values are progress, or a result by *steady*."""

    def decode_running(frames: Iterable[Frame]) -> Iterator[Decoded]:
        for item in decode(frames):
            if isinstance(item, Reading) and "stability" in item.context and item.values:
                yield _settled(item, steady)
            else:
                if steady and isinstance(item, Progress):
                    steady.release()
                yield item

    return decode_running


def _settled(reading: Reading, steady: Steady[str] | None) -> Reading | Progress:
    value = str(reading.values[Measure.SPO2])
    if steady and (evidence := steady.see(value, reading.evidence[0])):
        return replace(reading, evidence=evidence)
    return Progress(Kind.OXIMETRY, reading.values, "settling")


def talk(settings: Settings) -> Dialogue:
    """Pass on spot checks; where there are none, running values that stand still."""
    contact = Contact(decode, settings, QUIET)
    yield from contact.begin()
    spot = (yield Subscribe(service.SPOT)) is True
    running = (yield Subscribe(service.CONTINUOUS)) is True
    if not (spot or running):
        raise NoAnswer("no characteristic 2A5E or 2A5F")
    contact.decode = settling(None if spot else Steady(int(settings["equal_values"])))
    yield from contact.attend()


DRIVER = Driver(
    name="sig_oximeter",
    title="Pulse oximeter of the standard Bluetooth service",
    models=("Nonin 3230",),
    kinds=(Kind.OXIMETRY,),
    link=Gatt((service.FEATURE,), default=service.SPOT, services=("1822",)),
    framer=ValueFramer,
    decode=decode,
    talk=talk,
    grade="B",
    provenance="constructed",
    sources="ble/sig_hts_plx_ghs_rcs.md (blessed-android); status bits: headers of two vendors' stacks",
    not_known=(
        "a captured value of an oximeter",
        "whether a result with a time is fresh where the clock cannot be read: stored (live_without_clock)",
        "when a running value has settled (equal_values is ours)",
        "whether the records of an oximeter can be asked for: they are not",
    ),
    orders=("set_clock",),
    settings={"equal_values": 8, **SETTINGS},
    shaped=paired,
)
