"""Omron monitors that keep their records in an EEPROM (and the HBF-702T scale), by Bluetooth LE.

Service ecbe3980…: unlocked with the key it was paired with (`key`, 16 bytes in hex: one for the clinic), then
a session of questions. The memory is only ever read: nothing here can write it, so the monitor goes on
counting all as unread. Where records stand depends on the model (`model`, else what the monitor says it is);
one that is not in the table is not read. While -P- blinks on its display a person may order `pair`, which
gives it the key. The HEM-9200T speaks the standard services and is no monitor of this kind.
Frames are in `protocol/omron_ble.py`, records and the table of models in `protocol/omron_records.py`.
"""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace

from drivers.catalogue import Decode, Decoded, Driver, Gatt, Refusal
from drivers.dialogue import (
    Answer,
    Dialogue,
    Listen,
    Observe,
    Order,
    Read,
    Settings,
    Step,
    Subscribe,
    Write,
)
from drivers.omron_session import Session
from protocol import omron_ble as wlp
from protocol.errors import ConfigError, MalformedValue, NoAnswer
from protocol.framing import Frame, ValueFramer
from protocol.omron_records import MODELS, Model
from protocol.omron_values import decode_value
from protocol.readings import Identified, Kind, Notice

MODEL_STRING, SERIAL_STRING = "2A24", "2A25"
TRIES = 5
"""How often a monitor is asked for its pairing mode (ours)."""
UNLOCKING = 5.0
"""Ours: seconds to answer on the unlock characteristic."""
WAITING = 0.5
"""Ours: seconds in which an order that already waits is taken."""
PAIRING = 60.0
"""Ours: seconds in which a monitor that is not unlocked may be paired."""
Part = Generator[Step, Answer, None]


def decoder(layout: str) -> Decode:
    """Return what says what values mean; *layout* is that of the model, or empty where it is not known."""

    def decode(frames: Iterable[Frame]) -> Iterator[Decoded]:
        assembly = wlp.Assembly()
        for frame in frames:
            try:
                yield from decode_value(frame, assembly, layout)
            except MalformedValue as refused:
                yield Refusal(frame.data, refused.code, refused.detail)
        for piece in assembly.missing():
            yield Refusal(piece, "device.malformed", "an answer that is not whole")

    return decode


def talk(settings: Settings) -> Dialogue:
    """Unlock the monitor, read its clock and the records that are new, end the session."""
    key = _key(str(settings["key"]))
    for characteristic in (wlp.NOTIFY[0], wlp.UNLOCK, *wlp.NOTIFY[1:]):
        if (yield Subscribe(characteristic)) is not True:
            raise NoAnswer(f"no characteristic {characteristic}")
    if not key:
        yield Observe(Notice("omron_ble.no_key", fault=True))
        return
    if isinstance((yield Listen(timeout=WAITING, orders=True)), Order):
        yield from _pair(key)
        return
    if (yield from _unlocked(wlp.unlock(key))) != wlp.UNLOCKED:
        yield Observe(Notice("omron_ble.not_unlocked", fault=True))
        while isinstance(answer := (yield Listen(timeout=PAIRING, orders=True)), Frame):
            pass
        if answer is not None:
            yield from _pair(key)
        return
    stated = yield from _identify(str(settings["model"]))
    if stated is None:
        yield Observe(Notice("omron_ble.model_unknown", fault=True))
        return
    yield from Session(stated).run()


def _key(stated: str) -> bytes:
    try:
        key = bytes.fromhex(stated)
    except ValueError:
        key = b"?"
    if len(key) not in {0, wlp.KEY}:
        raise ConfigError("key: 16 bytes in hex", code="omron_ble.settings")
    return key


def _identify(stated: str) -> Generator[Step, Answer, Model | None]:
    """Let it be known what the monitor says it is; return the model that is stated, or that it says."""
    told = []
    for characteristic in (MODEL_STRING, SERIAL_STRING):
        answer = yield Read(characteristic)
        text = answer.data.decode("latin-1").strip("\0 ") if isinstance(answer, Frame) else ""
        told.append(text if text.isascii() and text.isprintable() else "")
    if told[1]:
        yield Observe(Identified(told[1], {"model": told[0]} if told[0] else {}))
    return MODELS.get(stated or next((name for name in MODELS if told[0].startswith(name)), ""))


def _unlocked(question: bytes) -> Generator[Step, Answer, bytes]:
    """Write to the unlock characteristic and return the two bytes that answer, empty if none do."""
    yield Write(wlp.UNLOCK, question)
    while isinstance(answer := (yield Listen(within=UNLOCKING)), Frame):
        if answer.source == wlp.UNLOCK:
            return answer.data[:2]
    return b""


def _pair(key: bytes) -> Part:
    """Give the monitor the clinic's key, as a person ordered."""
    for _ in range(TRIES):
        if (yield from _unlocked(wlp.ENTER_KEY_MODE)) == wlp.KEY_MODE:
            break
    else:
        yield Observe(Notice("omron_ble.not_in_pairing_mode", fault=True))
        return
    taken = (yield from _unlocked(wlp.give_key(key))) == wlp.KEY_TAKEN
    yield Observe(Notice("omron_ble.paired" if taken else "omron_ble.not_unlocked", fault=not taken))


def _shaped(driver: Driver, settings: Settings) -> Driver:
    """Return the driver of the stated model. Raises ValueError where there is none of that name."""
    model = str(settings["model"])
    if model and model not in MODELS:
        raise ValueError(f'model: "{model}" is none of {", ".join(MODELS)}')
    return replace(driver, decode=decoder(MODELS[model].layout)) if model else driver


DRIVER = Driver(
    name="omron_ble",
    title="Omron blood-pressure monitor with a memory (Bluetooth LE)",
    models=tuple(MODELS),
    kinds=(Kind.BLOOD_PRESSURE, Kind.BODY_COMPOSITION),
    link=Gatt(
        (wlp.NOTIFY[0], wlp.WRITE, wlp.UNLOCK),
        default=wlp.NOTIFY[0],
        services=(wlp.SERVICE,),
        names=("BLEsmart_", "BLESmart_"),
        pairing="just_works",
        not_names=("BLEsmart_00000116", "BLESmart_00000116"),
    ),
    framer=ValueFramer,
    decode=decoder(""),
    talk=talk,
    grade="A",
    provenance="captured",
    sources="ble/omron.md: omblepy, hass-omron and openScale, captured records and clocks",
    not_known=(
        "whether every firmware of a model keeps its records where the table says (newer ones do not)",
        "which of two flags of the HEM-6232T is movement (two sources differ; movement first is taken)",
        "the clock of the HEM-7530T",
        "what the cuff bit of the 14-byte little-endian record means",
        "the sessions of newer models that agree on keys (WLD, OMSEC)",
        "whether the scale's memory is laid out as openScale says: no capture was seen",
    ),
    orders=("pair",),
    settings={"model": "", "key": ""},
    secret_settings=("key",),
    shaped=_shaped,
)
