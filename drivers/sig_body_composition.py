"""Body-composition scales of the standard Bluetooth service 181B: Beurer BF720, BF788, BF500, BF950, BF105.

The composition (2A9C) comes after the weight (2A9D), mostly without a time of its own: both are of one
weighing. Only body fat is a value, masses and impedance are context. Such a scale tells only to a user who is
logged in (`user`, `consent`; without batteries it forgets both). Its history comes as stubs of noughts: no
composition. A Renpho ES-WBE28 fills the fields with something else: only its impedance is known, and kept.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from drivers.catalogue import Decode, Decoded, Driver, Gatt
from drivers.dialogue import Dialogue, Settings
from drivers.gatt_contact import Contact, by_characteristic, one, shaping
from drivers.gatt_scale import ONLY_ADVERTISE, QUIET, SCALE_SETTINGS, listened_to, login
from protocol.framing import Frame, ValueFramer
from protocol.gatt import body_composition as service
from protocol.gatt import user_data, weight_scale
from protocol.readings import Kind, Reading


def decoding(layout: weight_scale.Layout) -> Decode:
    """Return the decoding of a scale that counts its weights so."""
    return by_characteristic(
        service.MEASUREMENT,
        {
            service.MEASUREMENT: one(service.measurement),
            service.FEATURE: one(service.feature),
            weight_scale.MEASUREMENT: one(lambda data: weight_scale.measurement(data, layout)),
            weight_scale.FEATURE: one(weight_scale.feature),
            user_data.CONTROL_POINT: user_data.told,
        },
    )


DECODINGS: Mapping[str, Decode] = {"sig": decoding("sig"), "renpho_es_wbe28": decoding("renpho_es_wbe28")}


def pairing(decode: Decode) -> Decode:
    """Return the decoding of one contact: a composition without a time has that of the weight before it.

    The scale tells both of one weighing, and of a past one as well: it must not pass for a new one.
    """
    weight: Reading | None = None

    def decode_paired(frames: Iterable[Frame]) -> Iterator[Decoded]:
        nonlocal weight
        for item in decode(frames):
            composition = isinstance(item, Reading) and item.kind == Kind.BODY_COMPOSITION
            if isinstance(item, Reading) and composition and not item.stored and weight is not None:
                yield _of_weighing(item, weight)
                continue
            if isinstance(item, Reading) and not composition:
                weight = item
            yield item

    return decode_paired


def _of_weighing(composition: Reading, weight: Reading) -> Reading:
    told = "/".join(str(quantity.value) for quantity in composition.values.values()) or composition.failed
    return replace(
        composition,
        device_time=weight.device_time,
        flags=composition.flags | weight.flags,
        stored=weight.stored,
        record=weight.record and f"composition of {weight.record}: {told}",
    )


def conversation(decode: Decode) -> Callable[[Settings], Dialogue]:
    """Return the dialogue with a scale that is understood by *decode*."""

    def talk(settings: Settings) -> Dialogue:
        asked = login(settings)
        contact = Contact(pairing(decode), settings, QUIET)
        yield from contact.begin()
        yield from listened_to(asked, service.MEASUREMENT, weight_scale.MEASUREMENT)
        yield from contact.attend()

    return talk


DRIVER = Driver(
    name="sig_body_composition",
    title="Body-composition scale of the standard Bluetooth service",
    models=("Beurer BF720, BF788, BF500, BF950, BF105", "A&D UC-421BLE", "Renpho ES-WBE28 (weight)"),
    kinds=(Kind.BODY_COMPOSITION, Kind.BODY_SIZE),
    link=Gatt(
        (service.MEASUREMENT,), default=service.MEASUREMENT, services=("181B",), not_names=ONLY_ADVERTISE
    ),
    framer=ValueFramer,
    decode=DECODINGS["sig"],
    talk=conversation(DECODINGS["sig"]),
    grade="A",
    provenance="captured",
    sources="ble/sig_wss_bcs_uds.md (SIG documents, captures of Beurer and Renpho)",
    not_known=(
        "whether a result with a time is fresh where the clock cannot be read: stored (live_without_clock)",
        "how a composition in several packets is put together: each is told as it is, and says so",
        "what the other fields of a Renpho ES-WBE28 mean: only its impedance was confirmed",
    ),
    orders=("set_clock",),
    settings={"model": "sig", **SCALE_SETTINGS},
    shaped=shaping(DECODINGS, conversation),
)
