"""Glucose meters of the standard Bluetooth service 1808: Accu-Chek, Contour, CareSens, TaiDoc, Yuwell.

The memory is asked for through the control point, newest records first down to a known one; a meter that
counts backwards (TaiDoc, FORA) is read whole. A meter that tells by itself once it is listened to (Yuwell) is
only listened to. A measurement waits for the context that follows it: on i-SENS meters it says where the
record is ketone. All subscriptions come before the control point is written, as the service demands. Most
meters pair with a six-digit code that they show or carry on their back.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping

from drivers.catalogue import Decoded, Driver, Gatt, Refusal
from drivers.dialogue import Answer, Dialogue, Listen, Settings, Step, Subscribe
from drivers.gatt_contact import COMMON, SETTINGS, Contact, Reader, one, paired, read_one
from drivers.gatt_records import Records
from protocol.errors import NoAnswer
from protocol.framing import Frame, ValueFramer
from protocol.gatt import glucose as service
from protocol.gatt import record_access
from protocol.gatt.record_access import CONTROL_POINT
from protocol.readings import Kind

QUIET = 2.0
"""Seconds of silence after the last result (ble/field_problems.md)."""
FIRST_WORD = 1.0
"""Ours: seconds a meter has to tell by itself before it is asked; a sensor drops a link idle for 5 s."""


def decode(frames: Iterable[Frame]) -> Iterator[Decoded]:
    """Say what each value means; a measurement is told together with the context that follows it."""
    joining = service.Joining()
    readers: Mapping[str, Reader] = {
        **COMMON,
        service.MEASUREMENT: joining.measurement,
        service.CONTEXT: joining.context,
        service.FEATURE: one(service.feature),
        CONTROL_POINT: record_access.told,
    }
    for frame in frames:
        yield from read_one(readers, frame, service.MEASUREMENT)
    yield from joining.rest()


def talk(settings: Settings) -> Dialogue:
    """Read clock and memory, then pass on what the meter tells by itself."""
    contact = Contact(decode, settings, QUIET, follows=_context_follows)
    yield from contact.begin()
    if (yield Subscribe(service.MEASUREMENT)) is not True:
        raise NoAnswer("no characteristic 2A18")
    yield Subscribe(service.CONTEXT)
    controlled = (yield Subscribe(CONTROL_POINT)) is True
    first = yield Listen(timeout=FIRST_WORD)
    if isinstance(first, Frame):
        yield from contact.take(first)
    elif controlled and settings["download"]:
        records = Records(contact, service.MEASUREMENT, alongside=(service.CONTEXT,))
        if not (yield from records.download()):
            return
        contact.orders = {"read_records": _whole(records)}
    yield from contact.attend()


def _whole(records: Records) -> Callable[[], Generator[Step, Answer, None]]:
    def read() -> Generator[Step, Answer, None]:
        yield from records.download_all(again=True)

    return read


def _context_follows(frame: Frame) -> bool:
    said = decode([frame])
    return (
        frame.source == service.MEASUREMENT
        and service.context_follows(frame.data)
        and not any(isinstance(item, Refusal) for item in said)
    )


def shaped(driver: Driver, settings: Settings) -> Driver:
    """Return the driver with the pairing of *settings*."""
    return paired(driver, settings)


DRIVER = Driver(
    name="sig_glucose",
    title="Glucose meter of the standard Bluetooth service",
    models=(
        "Accu-Chek Guide, Instant, Aviva Connect",
        "Contour Next One, Plus One",
        "i-SENS CareSens, ReliOn",
        "TaiDoc Diamond Mini, FORA",
        "Yuwell glucose meters",
    ),
    kinds=(Kind.GLUCOSE,),
    link=Gatt(
        (service.MEASUREMENT,),
        default=service.MEASUREMENT,
        services=("1808",),
        names=("meter+", "Contour", "Yuwell Glucose"),
        pairing="passkey",
    ),
    framer=ValueFramer,
    decode=decode,
    talk=talk,
    grade="A",
    provenance="captured",
    sources="ble/sig_gls.md (SIG documents, xDrip, tidepool, captures), glucose_meters_intl.md, yuwell.md",
    not_known=(
        "which half of a context's tester and health byte is which: kept as sent",
        "which day the month 13 of i-SENS meters means: the value is kept without a time",
        "whether a low value is ketone where the meter does not say so: flagged as questionable",
        "how the clocks of Contour and i-SENS meters are read and set: by values of their own, not sent",
        "the limits of the meter where it says only HI or LO: told as failed above or below its range",
        "whether a Yuwell meter tells its results without its clock being set first",
    ),
    orders=("read_records", "set_clock"),
    settings={"download": True, **SETTINGS, "pairing": "passkey"},
    shaped=shaped,
)
