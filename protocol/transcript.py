r"""The text form of a conversation with a device: what was sent, heard, ordered, and what it must give.

One form for the recorder, the replay link, the simulator and the tests; plain text, so that a
technician can read it and a reviewer can see every byte. A text knows the escapes \r \n \t \0 \" \\ \xNN.

    # provenance: captured | document | upstream | constructed, and where from
    # settings: download=no                      what the driver is told (optional)
    > 53 4e 06 00 02 05 00 00 0d                 the host sends
    < "ST,GS,+  12.34kg\r\n"                     the device sends: hex, or text with \r \n \t \0 \" \\ \xNN
    . 0.5                                        seconds in which the device says nothing
    ! start_blood_pressure patient=adult         a person's order
    = blood_pressure systolic 120 mm[Hg], …      a reading it must give, as `reading_line` writes it
    ~ notice omron_hbp.wrong_format              an event it gives (events may be left out)

Bluetooth writes the characteristic before the mark, ADV for an advertisement:

    2A35+                                        the host subscribes (2A35+ - : the device has none)
    2A52> 01 01                                  the host writes
    2A35< 1e 73 00 59 00 61 00                   the device tells a value
    2A2B? e8 07 06 0f 11 11 1b 06 80 01          the host reads, and the device answers (- : it has none)
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from protocol.errors import GatewayError
from protocol.quantities import Quantity
from protocol.readings import CardRead, DeviceClock, Event, Identified, Notice, Progress, Reading

ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", '"': b'"', "\\": b"\\"}
ESCAPED = {value[0]: f"\\{letter}" for letter, value in ESCAPES.items()}
TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
CHANNEL = re.compile(r"(ADV|[0-9A-F]{4}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})([<>+?])(.*)")
PIECE = re.compile(r"\\x([0-9a-fA-F]{2})|\\(.)|([ -~])")


class TranscriptError(GatewayError):
    """A line of a transcript that cannot be understood; the detail names the line."""

    code = "transcript.invalid"


@dataclass(frozen=True, slots=True)
class Sent:
    """`>`: what the host must send next, byte for byte; over Bluetooth to the characteristic `to`."""

    data: bytes
    to: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """`<`: what the device sends; over Bluetooth from the characteristic `source`."""

    data: bytes
    source: str = ""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """`+`: the host subscribes to a characteristic; `there` says whether the device has it."""

    characteristic: str
    there: bool = True


@dataclass(frozen=True, slots=True)
class Answered:
    """`?`: the host reads a characteristic; None where the device has none."""

    characteristic: str
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Silence:
    """`.`: this many seconds pass and the device says nothing."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Ordered:
    """`!`: what a person asks of the device."""

    name: str
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gives:
    """`=`: a reading the driver must give here, in the words of `reading_line`."""

    reading: str


@dataclass(frozen=True, slots=True)
class Lets:
    """`~`: an event the driver lets be known here, in the words of `event_line`."""

    event: str


Turn = Sent | Heard | Subscribed | Answered | Silence | Ordered | Gives | Lets


@dataclass(frozen=True, slots=True)
class Transcript:
    """One conversation. `provenance` is never empty; `settings` are the driver's, as text."""

    provenance: str
    turns: tuple[Turn, ...]
    settings: Mapping[str, str] = field(default_factory=dict)


def parse(text: str) -> Transcript:
    """Read a transcript. Raises TranscriptError naming the line, or that no provenance is stated."""
    turns: list[Turn] = []
    remarks: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#"):
            name, _, rest = line[1:].partition(":")
            remarks.setdefault(name.strip(), rest.strip())
        elif line.strip():
            turns.append(_turn(number, line))
    if not remarks.get("provenance"):
        raise TranscriptError("no '# provenance:' line")
    return Transcript(remarks["provenance"], tuple(turns), _pairs(shlex.split(remarks.get("settings", ""))))


def render(transcript: Transcript) -> str:
    """Write *transcript* so that `parse` gives it back."""
    lines = [f"# provenance: {transcript.provenance}"]
    if transcript.settings:
        lines.append(f"# settings: {_written(transcript.settings)}")
    return "\n".join([*lines, *map(turn_line, transcript.turns)]) + "\n"


def turn_line(turn: Turn) -> str:
    """Return the one line that states *turn*."""
    match turn:
        case Sent(data, to):
            return f"{to}> {chunk_text(data)}"
        case Heard(data, source):
            return f"{source}< {chunk_text(data)}"
        case Subscribed(characteristic, there):
            return f"{characteristic}+" if there else f"{characteristic}+ -"
        case Answered(characteristic, data):
            return f"{characteristic}? {'-' if data is None else chunk_text(data)}"
        case Silence(seconds):
            return f". {seconds:g}"
        case Ordered(name, arguments):
            return f"! {name} {_written(arguments)}".rstrip()
        case Gives(line):
            return f"= {line}"
        case Lets(line):
            return f"~ {line}"


def chunk_text(data: bytes) -> str:
    """Write bytes as quoted text where they read as text, else as hex."""
    readable = sum(32 <= byte < 127 or byte in ESCAPED for byte in data)
    if (
        not data
        or readable < len(data)
        or sum(65 <= byte < 123 or 44 <= byte < 58 for byte in data) * 2 < len(data)
    ):
        return data.hex(" ")
    return '"' + "".join(ESCAPED.get(byte, chr(byte)) for byte in data) + '"'


def reading_line(reading: Reading) -> str:
    """State all of *reading* but its evidence in one line."""
    numbers = [f"{measure} {_quantity(quantity)}" for measure, quantity in reading.values.items()]
    parts = [f"{reading.kind} {', '.join(numbers) if numbers else f'failed {reading.failed}'}"]
    if reading.device_time is not None:
        parts.append(f"at {reading.device_time.isoformat()}")
    if reading.sequence is not None:
        parts.append(f"sequence {reading.sequence}")
    parts += ["stored"] * reading.stored
    if reading.record is not None:
        parts.append(f"record {reading.record}")
    parts += [f"flag {flag}" for flag in sorted(reading.flags)]
    if reading.context:
        parts.append(f"context {_written(reading.context)}")
    return "; ".join(parts)


def event_line(event: Event) -> str:
    """State *event* in one line; a notice by its code, its detail being for people; a card without holder."""
    match event:
        case DeviceClock(device_time=moment):
            return f"clock {moment.isoformat()}"
        case Identified(serial=serial):
            return f"identified {serial}"
        case Notice(code=code):
            return f"notice {code}"
        case CardRead(system=system):
            return f"card {system}"
        case Progress(kind=kind, values=values, state=state):
            numbers = [f"{measure} {_quantity(quantity)}" for measure, quantity in values.items()]
            return f"progress {kind} {state} {', '.join(numbers)}".rstrip()


def _turn(number: int, line: str) -> Turn:
    mark, rest = line[0], line[1:].strip()
    try:
        if channel := CHANNEL.match(line):
            return _of_a_channel(channel[1], channel[2], channel[3].strip())
        match mark:
            case ">":
                return Sent(_chunk(rest))
            case "<":
                return Heard(_chunk(rest))
            case ".":
                return Silence(float(rest))
            case "!":
                name, *arguments = shlex.split(rest)
                return Ordered(name, _pairs(arguments))
            case "=":
                return Gives(rest)
            case "~":
                return Lets(rest)
            case _:
                raise ValueError(f"no turn begins with {mark!r}")
    except ValueError as error:
        raise TranscriptError(f"line {number}: {error}") from error


def _of_a_channel(source: str, mark: str, rest: str) -> Turn:
    match mark:
        case ">":
            return Sent(_chunk(rest), source)
        case "<":
            return Heard(_chunk(rest), source)
        case "+":
            return Subscribed(source, rest != "-")
        case _:
            return Answered(source, None if rest == "-" else _chunk(rest))


def _chunk(text: str) -> bytes:
    if not text.startswith('"'):
        return _filled(bytes.fromhex(text))
    quoted = TEXT.fullmatch(text)
    if quoted is None:
        raise ValueError("a text must end with its quotation mark")
    return _filled(b"".join(map(_piece, _pieces(quoted[1]))))


def _filled(data: bytes) -> bytes:
    if not data:
        raise ValueError("no bytes")
    return data


def _pieces(text: str) -> list[re.Match[str]]:
    found = list(PIECE.finditer(text))
    if sum(len(piece[0]) for piece in found) != len(text):
        raise ValueError("only printable ASCII and escapes may stand in a text")
    return found


def _piece(piece: re.Match[str]) -> bytes:
    if piece[1]:
        return bytes.fromhex(piece[1])
    if piece[2] is None:
        return piece[3].encode("ascii")
    if piece[2] not in ESCAPES:
        raise ValueError(f"no escape \\{piece[2]}")
    return ESCAPES[piece[2]]


def _pairs(words: list[str]) -> Mapping[str, str]:
    return dict(_pair(word) for word in words)


def _pair(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not (name and equals):
        raise TranscriptError(f"not name=value: {word}")
    return name, value


def _written(pairs: Mapping[str, str]) -> str:
    return shlex.join(f"{name}={value}" for name, value in pairs.items())


def _quantity(quantity: Quantity) -> str:
    plain = quantity.as_json()
    return f"{plain.get('comparator', '')}{plain['value']} {plain['unit']}"
