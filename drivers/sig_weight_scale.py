"""Scales of the standard Bluetooth service 181D: A&D UC-352BLE, Beurer, Renpho ES-WBE28.

A weight is told (2A9D) when it stands; a scale that knows the person tells BMI and height, too. Some tell
only to a user who is logged in (`user`, `consent`). The Renpho ES-WBE28 counts in 0.05 kg where the standard
has 0.005: its reserved flag and its user prove it, else `model` says so; the flag alone is refused.
"""

from collections.abc import Callable, Mapping

from drivers.catalogue import Decode, Driver, Gatt
from drivers.dialogue import Dialogue, Settings
from drivers.gatt_contact import Contact, by_characteristic, one, shaping
from drivers.gatt_scale import ONLY_ADVERTISE, QUIET, SCALE_SETTINGS, listened_to, login
from protocol.framing import ValueFramer
from protocol.gatt import user_data
from protocol.gatt import weight_scale as service
from protocol.readings import Kind


def decoding(layout: service.Layout) -> Decode:
    """Return the decoding of a scale that counts so."""
    return by_characteristic(
        service.MEASUREMENT,
        {
            service.MEASUREMENT: one(lambda data: service.measurement(data, layout)),
            service.FEATURE: one(service.feature),
            user_data.CONTROL_POINT: user_data.told,
        },
    )


DECODINGS: Mapping[str, Decode] = {"sig": decoding("sig"), "renpho_es_wbe28": decoding("renpho_es_wbe28")}


def conversation(decode: Decode) -> Callable[[Settings], Dialogue]:
    """Return the dialogue with a scale that is understood by *decode*."""

    def talk(settings: Settings) -> Dialogue:
        asked = login(settings)
        contact = Contact(decode, settings, QUIET)
        yield from contact.begin()
        yield from listened_to(asked, service.MEASUREMENT)
        yield from contact.attend()

    return talk


DRIVER = Driver(
    name="sig_weight_scale",
    title="Scale of the standard Bluetooth service",
    models=("A&D UC-352BLE, UC-421BLE", "Beurer BF720", "Renpho ES-WBE28"),
    kinds=(Kind.BODY_SIZE,),
    link=Gatt(
        (service.MEASUREMENT,),
        default=service.MEASUREMENT,
        services=("181D",),
        names=("A&D_UC-352BLE", "UC-421BLE"),
        not_names=ONLY_ADVERTISE,
    ),
    framer=ValueFramer,
    decode=DECODINGS["sig"],
    talk=conversation(DECODINGS["sig"]),
    grade="A",
    provenance="captured",
    sources="ble/sig_wss_bcs_uds.md (SIG documents, captures of Beurer and Renpho), and_ua651.md",
    not_known=(
        "whether a weight with a time is fresh where the clock cannot be read: stored (live_without_clock)",
        "the step of a weight with a reserved flag that is not the Renpho's: refused",
        "how an A&D scale's clock is set: assumed as in its blood-pressure monitors",
    ),
    orders=("set_clock",),
    settings={"model": "sig", **SCALE_SETTINGS},
    shaped=shaping(DECODINGS, conversation),
)
