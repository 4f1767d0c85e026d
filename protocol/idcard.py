"""Messages of the SAM module inside Chinese resident identity card readers (sheet serial/idcard_sam.md).

`AA AA AA 96 69`, two bytes of length, command or status, data, exclusive or of all from the length on. One
USB-serial chain puts a 00 among the AA, so a message is found by its `96 69`. What a card says leaves this
file as a `CardRead` only: the photo and the fingerprint are stepped over and never decoded.
"""

import re
import unicodedata
from collections.abc import Iterator
from datetime import date, datetime

from protocol.errors import MalformedValue
from protocol.framing import Frame, Held, Noise
from protocol.readings import CardRead, Event, Notice

MARK = b"\x96\x69"
LEAD = re.compile(rb"\xaa[\xaa\x00]{0,5}\Z")
TAIL = re.compile(rb"(?:\xaa[\xaa\x00]{0,5})?\x96?\Z")
"""What may become the beginning of a message; six bytes are ours, the sheet shows three and four."""
SHORTEST, LONGEST = 4, 0x090A
"""Values of the length: a bare status, and the answer of a third-generation reader."""

STATUS, FIND, SELECT, READ = b"\x11\xff", b"\x20\x01", b"\x20\x02", b"\x30\x01"
QUESTIONS = (STATUS, FIND, SELECT, READ)

GOOD = 0x90
READY = Notice("idcard_sam.ready", {"status": "90"})
SELECTED = Notice("idcard_sam.selected", {"status": "90"})
FOUND = Notice("idcard_sam.found", {"status": "9f"})
NO_CARD = Notice("idcard_sam.no_card", {"status": "80"})
ANSWERS = {
    0x9F: FOUND,
    0x80: NO_CARD,
    0x81: Notice("idcard_sam.select_failed", {"status": "81"}, fault=True),
    0x41: Notice("idcard_sam.read_failed", {"status": "41"}, fault=True),
    0x60: Notice("idcard_sam.self_test_failed", {"status": "60"}, fault=True),
}
UNKNOWN_ANSWER, NOT_UNDERSTOOD = "idcard_sam.unknown_answer", "idcard_sam.not_understood"
WRONG_NUMBER = "id.check_digit"

CARD_BYTES = 64
"""Ours: an answer with more data than this is meant to be a card; the sheet's others carry eight at most."""
TEXT_BYTES = 256
FIELDS = {
    "name": (0, 30),
    "sex": (30, 2),
    "nation": (32, 4),
    "birth": (36, 16),
    "address": (52, 70),
    "number": (122, 36),
    "valid_from": (188, 16),
    "valid_to": (204, 16),
}
SYSTEM, FOR_EVER = "cn-id", "长期"
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
FILLER = {
    "name": "某某",
    "sex": "1",
    "nation": "01",
    "birth": "18000101",
    "number": "999999180001010016",
    "valid_from": "20000101",
    "valid_to": FOR_EVER,
}
"""Nobody: a place that does not exist, born in 1800."""


def command(question: bytes) -> bytes:
    """Return the message that puts one of the four QUESTIONS; ValueError for another: it is never sent."""
    if question not in QUESTIONS:
        raise ValueError(f"{question.hex(' ')} is never sent to a card reader")
    return b"\xaa\xaa\xaa" + MARK + _checked(b"\x00\x03" + question)


def check_character(first: str) -> str:
    """Return the last of an identity number's 18 characters for its 17 digits (ISO 7064 MOD 11-2)."""
    total = sum(int(digit) * weight for digit, weight in zip(first, WEIGHTS, strict=True))
    return "10X98765432"[total % 11]


class SamFramer(Held):
    """Cuts the reader's messages; a frame begins with the AA before its `96 69`, as many as arrived."""

    def feed(self, chunk: bytes) -> Iterator[Frame | Noise]:
        """Yield each whole message in what has arrived, and the noise between."""
        self._held += chunk
        yield from self._scan()

    def finish(self) -> Iterator[Frame | Noise]:
        """Yield the held bytes as noise, and any message that stood behind a false start."""
        while self._held:
            yield Noise(self._take(1), "incomplete")
            yield from self._scan()

    def _scan(self) -> Iterator[Frame | Noise]:
        while (begin := self._begin()) is not None:
            if begin:
                yield Noise(self._take(begin), "no frame start")
            mark = self._held.find(MARK)
            if mark < 0 or len(self._held) < mark + 4:
                return
            size = int.from_bytes(self._held[mark + 2 : mark + 4])
            if not SHORTEST <= size <= LONGEST:
                yield Noise(self._take(mark + 1), "impossible header")
            elif len(self._held) < (whole := mark + 4 + size):
                return
            elif _xor(self._held[mark + 2 : whole]):
                yield Noise(self._take(mark + 1), "check failed")
            else:
                yield Frame(self._take(whole))

    def _begin(self) -> int | None:
        """Return where the next message begins, or may begin, in what is held; None where nothing is."""
        mark = self._held.find(MARK)
        if mark < 0:
            found = TAIL.search(self._held, max(0, len(self._held) - 7))
            return found.start() if found and self._held else None
        found = LEAD.search(self._held, max(0, mark - 6), mark)
        return found.start() if found else mark


def decode_frame(frame: bytes) -> Iterator[Event]:
    """Yield what one message of the reader says; raise MalformedValue, naming no holder, for any other."""
    status, data = _parts(frame)
    known = ANSWERS.get(status[2])
    if status[:2] != b"\x00\x00" or (known is None and status[2] != GOOD):
        raise MalformedValue(f"status {status.hex(' ')}", code=UNKNOWN_ANSWER)
    if known is not None:
        yield known
    elif len(data) > CARD_BYTES:
        begin = _text_at(data)
        yield holder(data[begin : begin + TEXT_BYTES])
    else:
        yield SELECTED if len(data) == 8 else READY


def holder(text: bytes) -> CardRead:
    """Return whose card the 256 bytes of text are; raise MalformedValue, naming no holder, for any other."""
    said = {name: _characters(text[at : at + size]) for name, (at, size) in FIELDS.items()}
    if not said["name"] or said["sex"] not in {"1", "2"} or not re.fullmatch("[0-9]{2}", said["nation"]):
        raise MalformedValue("no name, sex or nation as on a resident's card", code=NOT_UNDERSTOOD)
    return CardRead(
        system=SYSTEM,
        number=_number(said["number"]),
        name=said["name"],
        sex="male" if said["sex"] == "1" else "female",
        birth_date=_day(said["birth"]),
        nation=said["nation"],
        address=said["address"],
        valid_from=_day(said["valid_from"]),
        valid_to=None if said["valid_to"] == FOR_EVER else _day(said["valid_to"]),
    )


def redact(frame: bytes) -> bytes:
    """Return a message of the reader with nobody's card in it: but for status and lengths, all is filler."""
    begin = frame.index(MARK) + len(MARK)
    status, data = _parts(frame)
    kept, filler = b"", b""
    if len(data) > CARD_BYTES and status == bytes([0, 0, GOOD]):
        try:
            kept = data[: _text_at(data)]
            filler = _filler(data[len(kept) : len(kept) + TEXT_BYTES])
        except MalformedValue:
            kept = b""
    body = frame[begin : begin + 5] + (kept + filler).ljust(len(data), b"\0")
    return frame[:begin] + _checked(body)


def _filler(text: bytes) -> bytes:
    """Return nobody's text, which is taken or refused as *text* is."""
    said = dict(FILLER)
    try:
        holder(text)
    except MalformedValue as refused:
        said["number"] = "999999180001010010" if refused.code == WRONG_NUMBER else ""
    blank = bytearray(" ".encode("utf-16-le") * (TEXT_BYTES // 2))
    for name, words in said.items():
        at, size = FIELDS[name]
        blank[at : at + size] = words.ljust(size // 2).encode("utf-16-le")
    return bytes(blank)


def _parts(frame: bytes) -> tuple[bytes, bytes]:
    """Return the three status bytes and the data."""
    body = frame[frame.index(MARK) + 4 : -1]
    return body[:3], body[3:]


def _text_at(data: bytes) -> int:
    """Return where the text begins: behind the lengths of text, photo and, on a new card, fingerprint."""
    sizes = [int.from_bytes(data[at : at + 2]) for at in (0, 2, 4)]
    for count in (3, 2):
        if sizes[0] == TEXT_BYTES and 2 * count + sum(sizes[:count]) == len(data):
            return 2 * count
    if sizes[:2] == [TEXT_BYTES, 1024] and len(data) == LONGEST - SHORTEST:
        return 4
    raise MalformedValue("the lengths of text and photo do not fit", code=NOT_UNDERSTOOD)


def _characters(field: bytes) -> str:
    try:
        text = field.decode("utf-16-le")
    except UnicodeDecodeError:
        text = "\0"
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise MalformedValue("a field is no text", code=NOT_UNDERSTOOD) from None
    return text.strip(" ")


def _number(text: str) -> str:
    if not re.fullmatch("[0-9]{17}[0-9X]", text):
        raise MalformedValue("no number of 18 characters", code=NOT_UNDERSTOOD)
    _day(text[6:14])
    if check_character(text[:-1]) != text[-1]:
        raise MalformedValue("the number's check character does not match", code=WRONG_NUMBER)
    return text


def _day(text: str) -> date:
    try:
        if re.fullmatch("[0-9]{8}", text):
            return datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007 - a calendar day
    except ValueError:
        pass
    raise MalformedValue("a date is none", code=NOT_UNDERSTOOD)


def _checked(body: bytes) -> bytes:
    return body + bytes([_xor(body)])


def _xor(data: bytes | bytearray) -> int:
    """Return all bytes combined by exclusive or; by halves, for each false start may ask for 2000 of them."""
    folded, size = int.from_bytes(data), len(data)
    while size > 1:
        size = (size + 1) // 2
        folded = folded >> 8 * size ^ folded & ((1 << 8 * size) - 1)
    return folded
