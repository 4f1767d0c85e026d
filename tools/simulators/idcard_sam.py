"""An identity card reader with a SAM module: says nothing unasked, finds, selects and reads what lies on it.

From the sheet idcard_sam. The people are made up: born in 18xx at a place that does not exist. A card is
taken away by itself once it was read, unless it is to stay; `{"fail": "lifted"}` takes it away. After any
fault the card has to be found and selected again, as the sheet says.
"""

from collections.abc import Iterator, Mapping
from random import Random

from tools.simulators import (
    Await,
    Cue,
    Device,
    Fail,
    Heard,
    Measure,
    OrderRefused,
    Pause,
    Refuse,
    Say,
    Setup,
    Show,
    ShowFailure,
    Simulator,
    Values,
    Violation,
    attempt,
)

START = b"\xaa\xaa\xaa\x96\x69"
QUESTION = len(START) + 5
STATUS, FIND, SELECT, READ = b"\x11\xff", b"\x20\x01", b"\x20\x02", b"\x30\x01"
GOOD, FOUND, NONE, NOT_SELECTED, NOT_READ, SELF_TEST = 0x90, 0x9F, 0x80, 0x81, 0x41, 0x60
FIELDS = (
    ("name", 15),
    ("sex", 1),
    ("nation", 2),
    ("birth", 8),
    ("address", 35),
    ("number", 18),
    ("issuer", 15),
    ("valid_from", 8),
    ("valid_to", 8),
    ("reserve", 18),
)
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
USUAL = {
    "sex": "1",
    "nation": "01",
    "address": "不存在省不存在县",
    "issuer": "不存在县公安局",
    "valid_from": "20100101",
    "valid_to": "长期",
}
STAYS_FOR = 2
"""So many more questions a person leaves a card there after it was read; the sheet states none."""
FAULTS = ("not_selected", "not_read", "taken_away", "lifted", "self_test", "repaired")


def message(status: int, data: bytes = b"") -> bytes:
    """Return a whole answer: start, length of what follows, status, data, exclusive or."""
    body = (len(data) + 4).to_bytes(2, "big") + bytes([0, 0, status]) + data
    check = 0
    for byte in body:
        check ^= byte
    return START + body + bytes([check])


def device(setup: Setup) -> Device:
    """Answer each question about the card that lies there, if one does."""
    reader = _Reader(setup)
    while True:
        cue = yield Await()
        yield from attempt(reader.take(cue))


class _Reader:
    def __init__(self, setup: Setup) -> None:
        self._options = setup.options
        self._held = b""
        self._card: Mapping[str, str] | None = None
        self._next: Mapping[str, str] | None = None
        """The card that a person puts down; the one before it is lifted first."""
        self._stays = False
        self._fault = ""
        self._step = ""
        self._left = -1
        """Questions until the person takes a read card away; -1: not read yet."""
        self._sound = True

    def take(self, cue: Cue | None) -> Device:
        match cue:
            case Heard(data):
                for question in self._questions(data):
                    yield from self._answer(question)
            case Measure(values, extras):
                self._put(values)
                self._stays = extras.get("stays") == "yes"
            case Fail(reason):
                yield from self._fail(reason)
            case _:
                pass

    def _put(self, values: Values) -> None:
        if "number" not in values or "name" not in values:
            raise OrderRefused("a card has a number and a name")
        card = {"birth": values["number"][6:14], **USUAL, **values}
        if any(len(card.get(name, "")) > size for name, size in FIELDS):
            raise OrderRefused("a field of the card is too long")
        self._next = card

    def _fail(self, reason: str) -> Device:
        if reason not in FAULTS:
            yield Refuse(f"a card reader fails by {', '.join(FAULTS)}")
        elif reason in {"self_test", "repaired"}:
            self._sound = reason == "repaired"
        elif reason == "lifted":
            self._card = None
        else:
            self._fault = reason

    def _questions(self, data: bytes) -> Iterator[bytes]:
        """Yield the command and parameter of each whole question; a wrong check is passed over."""
        self._held = (self._held + data)[-4096:]
        while (begin := self._held.find(START)) >= 0 and len(self._held) >= begin + QUESTION:
            asked = self._held[begin + len(START) : begin + QUESTION]
            good = asked[:2] == b"\0\x03" and asked[4] == asked[0] ^ asked[1] ^ asked[2] ^ asked[3]
            self._held = self._held[begin + (QUESTION if good else 1) :]
            if good:
                yield asked[2:4]

    def _answer(self, question: bytes) -> Device:
        if not self._sound:
            yield self._say(SELF_TEST)
        elif question == STATUS:
            yield self._say(GOOD)
        elif question == FIND:
            yield self._say(self._find())
        elif question == SELECT:
            yield from self._select()
        elif question == READ:
            yield from self._read()
        else:
            yield Violation(f"a question no gateway puts: {question.hex(' ')}")

    def _find(self) -> int:
        if self._left > 0 and not self._stays:
            self._left -= 1
        elif self._left == 0 and not self._stays:
            self._card = None
        if self._next is not None:
            self._card, self._next = (None, self._next) if self._card else (self._next, None)
            self._left = -1
        read = self._left >= 0
        there = self._card is not None and not (read and self._options["found_again"] == "no")
        self._step = "found" if there else ""
        return FOUND if there else NONE

    def _select(self) -> Device:
        if self._step != "found" or self._card is None or self._fault == "not_selected":
            yield from self._gone_wrong(NOT_SELECTED, "not_selected")
            return
        self._step = "selected"
        yield self._say(GOOD, bytes(8))

    def _read(self) -> Device:
        if self._fault == "taken_away":
            self._card = None
            yield from self._gone_wrong(NONE, "taken_away")
        elif self._step != "selected" or self._card is None or self._fault == "not_read":
            yield from self._gone_wrong(NOT_READ, "not_read")
        else:
            yield Pause(0.05)
            self._left, self._step = STAYS_FOR, ""
            yield self._say(GOOD, self._block(self._card), result=True)
            yield Show({name: self._card[name] for name in ("number", "name")})

    def _gone_wrong(self, status: int, fault: str) -> Device:
        self._step = ""
        yield self._say(status)
        if self._fault == fault:
            self._fault = ""
            yield ShowFailure(fault)

    def _block(self, card: Mapping[str, str]) -> bytes:
        text = "".join(card.get(name, "").ljust(size) for name, size in FIELDS).encode("utf-16-le")
        lengths, pictures = b"\x01\x00\x04\x00", bytes(1024)
        if self._options["generation"] == "3":
            lengths, pictures = lengths + b"\x04\x00", bytes(2048)
        return lengths + text + pictures

    def _say(self, status: int, data: bytes = b"", *, result: bool = False) -> Say:
        if status == FOUND:
            data = bytes(4)
        said = message(status, data)
        return Say(said[:1] + b"\0" + said[1:] if self._options["line"] == "extra_zero" else said, result)


def number(first: str) -> str:
    """Return an identity number: its 17 digits and the check character of ISO 7064 MOD 11-2."""
    total = sum(int(digit) * weight for digit, weight in zip(first, WEIGHTS, strict=True))
    return first + "10X98765432"[total % 11]


def person(chance: Random) -> Values:
    """Return the card of somebody nobody can be."""
    born = f"18{chance.randint(0, 99):02d}{chance.randint(1, 12):02d}{chance.randint(1, 28):02d}"
    order = chance.randint(1, 999)
    name = chance.choice("赵钱孙李周吴郑王") + "试" + chance.choice("一二三四五六七八九十")
    return {"number": number(f"999999{born}{order:03d}"), "name": name, "sex": "1" if order % 2 else "2"}


SIMULATOR = Simulator(
    device,
    person,
    {"found_again": ("yes", "no"), "generation": ("2", "3"), "line": ("clean", "extra_zero")},
)
