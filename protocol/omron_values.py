"""What a Bluetooth value of an Omron monitor means by itself, and what an answer in several pieces does.

Also bare records and clock blocks, as documents print them. Source: protocols sheet ble/omron.md.
"""

from collections.abc import Iterator
from datetime import datetime

from protocol import omron_ble as wlp
from protocol import omron_records as records
from protocol.checks import xor8
from protocol.errors import MalformedValue
from protocol.framing import Frame
from protocol.readings import DeviceClock, Event, Notice, Reading


def decode_value(frame: Frame, assembly: wlp.Assembly, layout: str) -> Iterator[Reading | Event]:
    """Yield what *frame* says, once *assembly* has all pieces of its answer.

    *layout* is that of the monitor's records, empty where the model is not known. Raises MalformedValue for
    what is not documented.
    """
    data, at = frame.data, channel(frame)
    if frame.source == wlp.UNLOCK:
        yield _unlocking(data)
    elif at or wlp.begins_answer(data):
        if (pieces := assembly.take(at, data)) is not None:
            yield from decode_answer(wlp.parse(pieces), layout)
    elif data[1:3] in wlp.ANSWERS and data[0] <= len(data):
        yield from decode_answer(wlp.parse((data,)), layout)
    elif data[1:3] in wlp.QUESTIONS and not xor8(data):
        raise MalformedValue("a host's question")
    elif (moment := _clock(data)) is not None:
        yield DeviceClock(moment, data)
    else:
        yield records.record(data, layout, None, (data,)) if layout else records.alone(data)


def channel(frame: Frame) -> int:
    """Return which of the four channels *frame* came over; what names none counts as the first."""
    return wlp.NOTIFY.index(frame.source) if frame.source in wlp.NOTIFY else 0


def decode_answer(answer: wlp.Answer, layout: str) -> Iterator[Reading | Event]:
    """Yield what a whole answer says; a record only where the *layout* is known and it is one record long."""
    if answer.kind == wlp.ENDED and answer.status:
        yield Notice("omron_ble.ended_badly", {"status": str(answer.status)}, fault=True)
    elif answer.kind == wlp.READ and layout and not records.is_empty(answer.data):
        yield records.record(answer.data, layout, None, answer.pieces)
    else:
        told = {"type": answer.kind.hex(), "address": f"{answer.address:04x}", "bytes": answer.data.hex(" ")}
        yield Notice("omron_ble.answered", told)


def _clock(data: bytes) -> datetime | None:
    try:
        return records.clock(data)
    except MalformedValue:
        return None


def _unlocking(data: bytes) -> Notice:
    if data[:2] in {wlp.UNLOCKED, wlp.KEY_MODE, wlp.KEY_TAKEN}:
        return Notice("omron_ble.answered", {"bytes": data.hex(" ")})
    return Notice("omron_ble.not_unlocked", {"bytes": data.hex(" ")}, fault=True)
