"""Thermometers of the standard Bluetooth service 1809.

The result (2A1C) is an indication; a temperature on its way (2A1E) is shown and never a result. What a
thermometer says in Fahrenheit is refused with a word on how to mend it: the contract's unit is Celsius, and
nothing a device sent is converted here.
"""

from drivers.catalogue import Driver, Gatt
from drivers.dialogue import Dialogue, Settings, Subscribe
from drivers.gatt_contact import SETTINGS, Contact, by_characteristic, one, paired
from protocol.errors import NoAnswer
from protocol.framing import ValueFramer
from protocol.gatt import health_thermometer as service
from protocol.readings import Kind

QUIET = 2.0
"""Seconds of silence after the last result (ble/field_problems.md)."""

decode = by_characteristic(
    service.MEASUREMENT,
    {service.MEASUREMENT: one(service.measurement), service.INTERMEDIATE: one(service.intermediate)},
)


def talk(settings: Settings) -> Dialogue:
    """Pass on what the thermometer tells."""
    contact = Contact(decode, settings, QUIET)
    yield from contact.begin()
    yield Subscribe(service.INTERMEDIATE)
    if (yield Subscribe(service.MEASUREMENT)) is not True:
        raise NoAnswer("no characteristic 2A1C")
    yield from contact.attend()


DRIVER = Driver(
    name="sig_thermometer",
    title="Thermometer of the standard Bluetooth service",
    models=("A&D UT-201BLE", "thermometers of the Health Thermometer Service"),
    kinds=(Kind.TEMPERATURE,),
    link=Gatt((service.MEASUREMENT,), default=service.MEASUREMENT, services=("1809",)),
    framer=ValueFramer,
    decode=decode,
    talk=talk,
    grade="A",
    provenance="constructed",
    sources="ble/sig_hts_plx_ghs_rcs.md: SIG documents, unit tests of Nordic's toolbox",
    not_known=(
        "whether a result with a time is fresh where the clock cannot be read: stored (live_without_clock)",
        "a captured result of a thermometer",
    ),
    orders=("set_clock",),
    settings={**SETTINGS},
    shaped=paired,
)
