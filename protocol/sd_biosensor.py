"""Packets of the SD Biosensor CodeFree glucose meter.

`53 | 20 from the meter, 10 from the host | LEN | message | xor of the message | AA`; LEN counts what follows.
Source: sheet serial/other_glucose_meters.md; two unknown bytes before a record are glucometerutils' reading.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from protocol.checks import xor8
from protocol.errors import MalformedValue
from protocol.framing import LengthFramer
from protocol.glucose import stored
from protocol.quantities import Quantity
from protocol.readings import Event, Notice, Reading
from protocol.times import device_time

START = b"\x53"
FROM_METER, FROM_HOST = 0x20, 0x10
END = 0xAA
SHORTEST, LONGEST = 4, 64
"""Ours, the longest: bytes counted by LEN; the longest message known counts 24."""
CHALLENGE, CLOCK_SET, GONE = b"\x10\x30", b"\x10\x10", b"\x10\x70"
HERE, FETCH = b"\x10\x40", b"\x10\x60"
SENT = frozenset({HERE, FETCH})
"""The answer to the challenge, and the question for the next record; no other command is known to be safe."""
COUNT, COUNTED = 0x30, 22
RECORD = 17
MEALS: Mapping[int, Mapping[str, str]] = {0x00: {}, 0x10: {"meal": "before"}, 0x20: {"meal": "after"}}


def framer() -> LengthFramer:
    """Return a framer for a meter's packets."""
    return LengthFramer(START + bytes([FROM_METER]), 3, _length, _checked)


def _length(header: bytes) -> int | None:
    return header[2] + 3 if SHORTEST <= header[2] <= LONGEST else None


def _checked(packet: bytes) -> bool:
    return packet[-1] == END and xor8(packet[3:-2]) == packet[-2]


def packet(message: bytes) -> bytes:
    """Return the host's packet around *message*. Raises ValueError for any but the two that are safe."""
    if message not in SENT:
        raise ValueError(f"never sent: {message.hex(' ')}")
    return START + bytes([FROM_HOST, len(message) + 2]) + message + bytes([xor8(message), END])


def message_of(frame: bytes) -> bytes:
    """Return what a packet carries, without its envelope."""
    return frame[3:-2]


def counted(message: bytes) -> int | None:
    """Return how many records a message says there are; None where it says something else."""
    if len(message) != COUNTED or message[0] != COUNT:
        return None
    return int.from_bytes(message[1:3], "big")


def is_record(message: bytes) -> bool:
    """Say whether a message is a record."""
    return len(message) == RECORD


def decode_packet(frame: bytes) -> Iterator[Reading | Event]:
    """Yield what one packet says; raise MalformedValue for what is not documented."""
    message = message_of(frame)
    if message == CHALLENGE:
        yield Notice("sd_codefree.switched_on")
    elif is_record(message):
        yield _record(message[2:], frame)
    elif counted(message) is None and message not in {CLOCK_SET, GONE}:
        raise MalformedValue(f"message {message.hex(' ')} is not documented")


def _record(content: bytes, frame: bytes) -> Reading:
    year, *rest = content[:5]
    moment = device_time(2000 + year, *rest)
    raw, meal = int.from_bytes(content[5:7], "big"), content[7]
    if not raw or meal not in MEALS:
        raise MalformedValue(f"value {raw} with mark {meal:02x} is not documented")
    return stored(Quantity(Decimal(raw), "mg/dL"), moment, (frame,), context=MEALS[meal])
