"""What a driver decoded, as the command line's JSON and as one line for a person."""

import string
from collections.abc import Mapping

from drivers.catalogue import Decoded, Refusal
from protocol.framing import Frame, Noise
from protocol.quantities import Quantity
from protocol.readings import CardRead, DeviceClock, Event, Identified, Measure, Notice, Progress, Reading
from protocol.transcript import reading_line

Piece = Frame | Noise | Decoded
Json = dict[str, object]
Values = Mapping[Measure, Quantity] | Mapping[str, Quantity]


def reading_json(reading: Reading) -> Json:
    """Return the contract's form of a reading, with `stored` and `record` beside it."""
    return {
        "kind": reading.kind.value,
        "values": _values_json(reading.values),
        "device_time": reading.device_time.isoformat() if reading.device_time else None,
        "sequence": reading.sequence,
        "context": dict(reading.context),
        "flags": sorted(reading.flags),
        "failed": reading.failed,
        "stored": reading.stored,
        "record": reading.record,
    }


def event_json(event: Event) -> Json:
    """Return an event as `{"event": clock | progress | identified | notice | card_read, …}`."""
    match event:
        case DeviceClock():
            return {
                "event": "clock",
                "device_time": event.device_time.isoformat(),
                "hex": event.evidence.hex(),
            }
        case Progress():
            values = _values_json(event.values)
            return {"event": "progress", "kind": event.kind.value, "state": event.state, "values": values}
        case Identified():
            return {"event": "identified", "serial": event.serial, "detail": dict(event.detail)}
        case Notice():
            return {"event": "notice", "code": event.code, "detail": dict(event.detail)}
        case CardRead():
            return _card_json(event)


def _card_json(card: CardRead) -> Json:
    """Return all that a card says: only for whoever brought the bytes along."""
    return {
        "event": "card_read",
        "system": card.system,
        "number": card.number,
        "name": card.name,
        "sex": card.sex,
        "birth_date": card.birth_date.isoformat(),
        "nation": card.nation,
        "address": card.address,
        "valid_from": card.valid_from.isoformat(),
        "valid_to": card.valid_to.isoformat() if card.valid_to else None,
    }


def frame_json(frame: Frame) -> Json:
    """Return a frame as `{"hex"}`, with `text` where all of it is printable."""
    text = printable(frame.data)
    return {"hex": frame.data.hex(), "text": text} if text else {"hex": frame.data.hex()}


def noise_json(noise: Noise | Refusal) -> Json:
    """Return bytes that gave nothing with the reason and, for a refused frame, the error's code."""
    if isinstance(noise, Refusal):
        return {"hex": noise.frame.hex(), "reason": noise.reason, "code": noise.code}
    return {"hex": noise.data.hex(), "reason": noise.reason}


def placed(piece: Piece) -> tuple[str, Json]:
    """Return the list of the contract's object that *piece* belongs to, and its form there."""
    match piece:
        case Reading():
            return "readings", reading_json(piece)
        case Frame():
            return "frames", frame_json(piece)
        case Noise() | Refusal():
            return "noise", noise_json(piece)
        case _:
            return "events", event_json(piece)


def in_words(piece: Piece) -> str:
    """Return one line about *piece* for a person."""
    match piece:
        case Frame():
            return f"frame    {shown(piece.data)}"
        case Noise():
            return f"noise    {piece.data.hex(' ')}" + (f"  ({piece.reason})" if piece.reason else "")
        case Refusal():
            return f"refused  {shown(piece.frame)}  ({piece.code}: {piece.reason})"
        case Reading():
            return f"reading  {reading_line(piece)}"
        case _:
            return f"event    {_event_in_words(piece)}"


def printable(data: bytes) -> str:
    """Return *data* as text without its line end, or nothing where it is not one printable line."""
    text = data.decode("latin-1").strip("\r\n")
    allowed = set(string.printable) - set("\r\n\x0b\x0c")
    return text if allowed.issuperset(text) else ""


def shown(data: bytes) -> str:
    """Return *data* as a person reads it best: text where it is text, else pairs of hex digits."""
    return printable(data) or data.hex(" ")


def _values_json(values: Values) -> Json:
    return {str(measure): quantity.as_json() for measure, quantity in values.items()}


def _values_in_words(values: Values) -> str:
    said = (f"{measure} {q.comparator or ''}{q.value:f} {q.unit}" for measure, q in values.items())
    return ", ".join(said)


def _event_in_words(event: Event) -> str:
    match event:
        case DeviceClock():
            return f"the device's clock says {event.device_time.isoformat(' ')}"
        case Progress():
            return f"{event.kind} {event.state}: {_values_in_words(event.values)}"
        case Identified():
            return f"serial {event.serial}" + "".join(f", {key} {said}" for key, said in event.detail.items())
        case Notice():
            return event.code + "".join(f", {key} {said}" for key, said in event.detail.items())
        case CardRead():
            return f"a card was read ({event.system})"
