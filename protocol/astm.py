"""Frames of ASTM E1381 (LIS1-A) as the host receives them: cut, checked, numbered, joined to records.

`STX | number 0-7 | text | ETX or ETB | two hex digits | CR LF`: the digits are the sum of the bytes from the
number to ETX or ETB, mod 256. Source: sheet serial/astm_e1381_e1394.md. The records are read elsewhere.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from protocol.checks import sum8
from protocol.errors import MalformedValue
from protocol.framing import Frame, Held, Noise

STX, ETX, EOT, ENQ, ACK, NAK, ETB = b"\x02", b"\x03", b"\x04", b"\x05", b"\x06", b"\x15", b"\x17"
LONGEST = 64_000
"""Bytes of text in one frame: LIS1-A. E1381-95 allowed 240, which many instruments exceed."""
ENVELOPE = 6
"""Start, number, end, two digits, one byte of the line's end."""
BAD_FRAME = "astm.bad_frame"
FRAME = re.compile(rb"\x02([0-7])([^\x02]*)([\x03\x17])([0-9A-F]{2})(?:\r\n?|\n)")
OPENS = re.compile(rb"H[^0-9A-Za-z]")

_WITHIN = re.compile(rb"\x02|[\x03\x17][^\x02]{2}[\r\n]")
_BETWEEN = re.compile(rb"[\x02\x04\x05\x06\x15]")


class AstmFramer(Held):
    """Whole frames, and single ENQ, ACK, NAK and EOT bytes between them.

    A frame is given out at the first byte of its line's end (stored lines end with only CR or only LF), and
    what began as a frame is given out as it stands when the device falls silent. Sums are not looked at:
    whoever sent a damaged frame waits for a NAK, so the one who answers has to see it. A frame that another
    one interrupts was never finished: noise.
    """

    def __init__(self) -> None:
        super().__init__()
        self._looked = 0
        """In a frame: so many bytes hold no end. 0: between frames."""

    def feed(self, chunk: bytes) -> Iterator[Frame | Noise]:
        """Yield each whole frame and control byte in what has arrived, and the noise between."""
        for begin in range(0, len(chunk), LONGEST):
            self._held += chunk[begin : begin + LONGEST]
            while self._held and (found := list(self._within() if self._looked else self._between())):
                yield from found

    def finish(self) -> Iterator[Frame | Noise]:
        """Yield a frame without its end as it stands, for whoever has to ask for it again."""
        self._looked = 0
        held = self._take(len(self._held))
        if held.endswith((EOT, ENQ)):
            yield from _cut_off(held)
        elif held:
            yield Frame(held)

    def _between(self) -> Iterator[Frame | Noise]:
        found = _BETWEEN.search(self._held)
        skipped, control = (found.start(), found.group()) if found else (len(self._held), b"")
        if skipped:
            spare = self._take(skipped)
            yield Noise(spare, "no frame start" if spare.strip(b"\r\n") else "")
        if control == STX:
            self._looked = 1
            yield from self._within()
        elif control:
            yield Frame(self._take(1))

    def _within(self) -> Iterator[Frame | Noise]:
        most = LONGEST + ENVELOPE
        found = _WITHIN.search(self._held, self._looked, most)
        if found is None:
            self._looked = max(1, len(self._held) - 3)
            if len(self._held) >= most:
                self._looked = 0
                yield Noise(self._take(most), "frame too long")
        elif found.group() == STX:
            self._looked = 1
            yield from _cut_off(self._take(found.start()))
        else:
            self._looked = 0
            yield Frame(self._take(found.end()))


def _cut_off(begun: bytes) -> Iterator[Frame | Noise]:
    """Yield a frame that was given up as noise, and the EOT and ENQ that led to the next one."""
    rest = begun.rstrip(EOT + ENQ)
    yield Noise(rest, "cut off")
    for control in begun[len(rest) :]:
        yield Frame(bytes([control]))


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a message without its CR; `frames` are those it stood in, `number` the last one's."""

    text: bytes
    frames: tuple[bytes, ...]
    number: int


class Receiver:
    """Checks the frames of one transfer after another and joins their texts to records.

    Always true: a frame that comes twice is taken once; after `begin` the first frame is number 1 and each
    next one counts on; before any `begin` (a capture) a transfer may be joined anywhere. A frame 1 out of
    turn that opens with an H record begins anew: its ENQ was not heard.
    """

    def __init__(self) -> None:
        self.whole: bool | None = None
        """Whether the last frame was taken and ended a message (ETX); None: this transfer had none yet."""
        self._due: int | None = None
        self._last: bytes = b""
        self._text = b""
        self._frames: tuple[bytes, ...] = ()

    @property
    def pending(self) -> bool:
        """Say whether a record has begun and not ended."""
        return bool(self._text)

    def begin(self) -> None:
        """Take an ENQ: whatever was under way is over."""
        self._forget(due=1)

    def end(self) -> None:
        """Take an EOT."""
        self._forget(due=None)

    def take(self, frame: bytes, heard: bytes = b"") -> list[Record]:
        """Return the records that *frame* completes; none where it is a repetition.

        *heard* are the bytes that the frame came in, where it came inside something else. Raises
        MalformedValue (`astm.bad_frame`) for what must be asked for again: cut short, a wrong sum, a number
        that is not due.
        """
        self.whole = False
        number, text, end = _checked(frame)
        same = frame[1 : 1 + len(text) + 2]
        if same == self._last:
            self.whole = end == ETX
            return []
        if number == 1 != self._due and OPENS.match(text):
            self.begin()
        if self._due not in {None, number}:
            raise MalformedValue(f"frame {number} where {self._due} was due", code=BAD_FRAME)
        *whole, rest = (self._text + text).split(b"\r")
        if len(rest) > LONGEST:
            raise MalformedValue("a record that does not end", code=BAD_FRAME)
        if end == ETX:
            whole, rest = [*whole, rest], b""
        self._due, self._last, self.whole = (number + 1) % 8, same, end == ETX
        return self._joined(whole, rest, heard or frame, number)

    def _joined(self, whole: list[bytes], rest: bytes, frame: bytes, number: int) -> list[Record]:
        frames = (*self._frames, frame)
        alone = (frame,)
        self._text, self._frames = rest, (alone if whole else frames) if rest else ()
        records = [Record(line, alone if place else frames, number) for place, line in enumerate(whole)]
        return [record for record in records if record.text]

    def _forget(self, due: int | None) -> None:
        self._due, self._last, self._text, self._frames, self.whole = due, b"", b"", (), None


def _checked(frame: bytes) -> tuple[int, bytes, bytes]:
    found = FRAME.fullmatch(frame)
    if found is None:
        raise MalformedValue("no whole frame with number and sum", code=BAD_FRAME)
    number, text, end, stated = found.groups()
    if (right := f"{sum8(number + text + end):02X}".encode("ascii")) != stated:
        raise MalformedValue(f"the sum is {right.decode()}, not {stated.decode()}", code=BAD_FRAME)
    return int(number), text, end
