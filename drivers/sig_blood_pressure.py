"""Blood-pressure monitors of the standard Bluetooth service 1810: Yuwell, A&D, Omron HEM-9200T, Beurer.

Results are indications (2A35, else 2B34), told once by many: each is durable before anything else is asked.
The live cuff pressure (2A36) is shown and never a result; a result that follows it is live. Newer devices
keep records (2B36) that are asked for. `model` is for a device whose values do not prove by themselves that
they break the standard.
"""

from collections.abc import Callable, Mapping

from drivers.catalogue import Decode, Driver, Gatt
from drivers.dialogue import Dialogue, Settings, Subscribe
from drivers.gatt_contact import SETTINGS, Contact, by_characteristic, one, shaping
from drivers.gatt_records import Records
from protocol.errors import NoAnswer
from protocol.framing import ValueFramer
from protocol.gatt import blood_pressure as service
from protocol.gatt import record_access
from protocol.gatt.record_access import CONTROL_POINT
from protocol.readings import Kind

QUIET = 2.0
"""Seconds of silence after the last result (ble/and_ua651.md)."""


def decoding(layout: service.Layout) -> Decode:
    """Return the decoding of a device whose results are laid out so."""
    return by_characteristic(
        service.MEASUREMENT,
        {
            service.MEASUREMENT: one(lambda data: service.measurement(data, layout)),
            service.INTERMEDIATE: one(service.intermediate),
            service.FEATURE: one(service.feature),
            service.ENHANCED: one(service.enhanced),
            service.ENHANCED_INTERMEDIATE: one(service.enhanced_intermediate),
            service.RECORD: one(service.record),
            CONTROL_POINT: record_access.told,
        },
    )


DECODINGS: Mapping[str, Decode] = {"sig": decoding("sig"), "beurer_bm85": decoding("beurer_bm85")}
"""By `model`; beurer_bm85 sends pulse and status with the high byte first (ble/beurer_bp_variants.md)."""


def conversation(decode: Decode) -> Callable[[Settings], Dialogue]:
    """Return the dialogue with a device that is understood by *decode*."""

    def talk(settings: Settings) -> Dialogue:
        contact = Contact(decode, settings, QUIET)
        yield from contact.begin()
        yield Subscribe(service.INTERMEDIATE)
        recorded = (yield Subscribe(service.RECORD)) is True and (yield Subscribe(CONTROL_POINT)) is True
        if (yield Subscribe(service.MEASUREMENT)) is not True:
            yield Subscribe(service.ENHANCED_INTERMEDIATE)
            if (yield Subscribe(service.ENHANCED)) is not True:
                raise NoAnswer("no characteristic 2A35 or 2B34")
        if recorded and not (yield from Records(contact, service.RECORD).download()):
            return
        yield from contact.attend()

    return talk


DRIVER = Driver(
    name="sig_blood_pressure",
    title="Blood-pressure monitor of the standard Bluetooth service",
    models=(
        "Yuwell YE650A, YE670D, YE670CR, YE680A, YE8600A",
        "A&D UA-651BLE, UA-1200BLE",
        "Omron HEM-9200T, HEM-9601T",
        "Beurer BM57, BM85",
        "Medisana BU570",
    ),
    kinds=(Kind.BLOOD_PRESSURE,),
    link=Gatt(
        (service.MEASUREMENT,),
        default=service.MEASUREMENT,
        services=("1810",),
        names=("Yuwell BP-", "Yuwell BloodPressure", "A&D_UA-", "BLEsmart_00000116", "BLESmart_00000116"),
    ),
    framer=ValueFramer,
    decode=DECODINGS["sig"],
    talk=conversation(DECODINGS["sig"]),
    grade="A",
    provenance="captured",
    sources="ble/sig_bps.md (SIG documents, captures), yuwell, and_ua651, omron and beurer_bp_variants.md",
    not_known=(
        "whether a result with a time is fresh where the clock cannot be read: stored (live_without_clock)",
        "how a record (2B36) in several pieces is put together: refused",
        "by what rule the check code behind a record (2B36) is made: not checked",
        "a captured result of an A&D or an Omron monitor (constructed here)",
        "whether an A&D monitor tells everything without its own command (02 00 E1): it is not sent",
        "how a Silvercrest SBM69 writes its numbers",
        "which time an enhanced result means that carries no user-facing one: kept as base_time",
    ),
    orders=("set_clock",),
    settings={"model": "sig", **SETTINGS},
    shaped=shaping(DECODINGS, conversation),
)
