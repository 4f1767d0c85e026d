"""Bayer/Ascensia Contour meters: USB models as HID devices of 64-byte reports, older ones on a serial cable.

Cable: USB 1A79:6002 and relatives, or (setting `model=serial`) the FTDI jack cable, 9600 8N1. The meter is
asked by EOT until it enquires, then sends all of its memory, each record in a frame of its own; a damaged
frame is asked for again. A memory that begins as it did at the last look is not read to its end. The first
result of the serial model is an average and is left out. Reports and records are in `protocol/contour.py`.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from drivers.catalogue import Decode, Decoded, Driver, Hid, Refusal, Serial
from drivers.dialogue import Answer, Dialogue, Listen, Observe, Send, Settings, Step
from drivers.meters import MOST_BETWEEN, Part, Told, attend, incomplete
from protocol.astm import ACK, ENQ, EOT, NAK, STX, AstmFramer, Receiver, Record
from protocol.contour import BARE, ContourFramer, Memory, report, said
from protocol.errors import MalformedValue, NoAnswer
from protocol.framing import Frame
from protocol.readings import Kind, Notice, Reading

USB = (0x6002, 0x7350, 0x7410, 0x6200, 0x6210, 0x6300, 0x7800, 0x7900)
ANSWER = 5.0
"""Ours: seconds a meter has to answer."""
CALLS = 3
"""Ours: EOTs until a meter is given up, and NAKs until it has left its download."""
NEXT_FRAME = 30.0
"""Seconds in which the next frame must come (sheet of E1381)."""
BEGINNING = 4
"""Ours: records that tell whether a memory is as it was: H, P, two results (or average and result).
Whether the newest comes first or the oldest goes, a new result changes one of them."""


def decoder(*, average: bool) -> Decode:
    """Return the decoder of a model whose first result is an *average*, or not."""

    def decode(frames: Iterable[Frame]) -> Iterator[Decoded]:
        heard = _Heard(average=average)
        for frame in frames:
            if BARE.match(frame.data):
                yield from heard.read([Record(frame.data.strip(b"\r\n"), (frame.data,), 0)])
            for piece in said(frame.data):
                try:
                    yield from heard.take(piece, frame.data)
                except MalformedValue as bad:
                    yield Refusal(frame.data, bad.code, bad.detail)

    return decode


class _Heard:
    """What has been heard of a meter's memory.

    Sources differ on whether the header that comes before the ENQ comes again after it: both are taken, and a
    download's first frame may have any number.
    """

    def __init__(self, *, average: bool) -> None:
        self._average = average
        self.begin()

    def begin(self) -> None:
        """Forget what was under way. `beginning` will be the first records, without the time of this look."""
        self.beginning: list[bytes] = []
        self.over = False
        self._receiver = Receiver()
        self._memory = Memory(average=self._average)
        self._header = b""

    def take(self, piece: bytes, frame: bytes) -> list[Decoded]:
        """Return what *piece* of *frame* says; raise MalformedValue where it must come again."""
        if piece == EOT:
            self.begin()
        elif piece == ENQ:
            self._receiver.end()
            self._memory.begin()
        elif piece.startswith(STX):
            return list(self.read(self._receiver.take(piece, frame)))
        return []

    def read(self, records: Iterable[Record]) -> Iterator[Decoded]:
        """Yield what *records* say, a refusal in the place of one that cannot be read."""
        for record in records:
            self.over = record.text.startswith(b"L")
            again = self._note(record.text)
            try:
                yield from (item for item in self._memory.read(record) if not again)
            except MalformedValue as bad:
                yield Refusal(record.frames[-1], bad.code, bad.detail)

    def _note(self, text: bytes) -> bool:
        """Remember how the download begins; return whether *text* is its header once more."""
        header, results = text.startswith(b"H"), [one for one in self.beginning if one.startswith(b"R")]
        if header:
            self.beginning = []
        if len(self.beginning) < BEGINNING:
            now = header or (self._average and text.startswith(b"R") and not results)
            self.beginning.append(text.rpartition(b"|")[0] if now else text)
        again = header and text == self._header
        self._header = text if header else self._header
        return again


def talk(settings: Settings) -> Dialogue:
    """Ask who is there and for its memory, again and again."""
    meter = _Meter(serial=settings["model"] == "serial")
    return attend(meter, meter.set_clock)


class _Meter:
    """The questions put to the meter that is plugged in now."""

    def __init__(self, *, serial: bool) -> None:
        self.decode = decoder(average=serial)
        self._serial = serial
        self._told = Told()
        self._heard = _Heard(average=serial)
        self._known: list[bytes] = []
        self._header: list[bytes] = []

    def look(self, *, whole: bool) -> Part:
        """Read the memory, or only its beginning where that is as it was and not the *whole* is wanted."""
        self._heard.begin()
        known = [] if whole else self._known
        yield from self._call(known)
        yield self._send(ACK)
        while isinstance(answer := (yield Listen(timeout=NEXT_FRAME)), Frame):
            for piece in said(answer.data):
                if piece == EOT and self._heard.over:
                    self._known = self._heard.beginning
                    return
                if piece == EOT:
                    yield from incomplete()
                    return
                if (yield from self._answer(piece, answer.data, known)):
                    return
        yield from incomplete()

    def set_clock(self, moment: datetime) -> Part:
        """Set the clock, to the minute; then leave the command mode by looking what the clock says."""
        if not 2000 <= moment.year <= 2099:
            raise ValueError(moment)
        date, time = f"{moment:%y%m%d}|\r".encode("ascii"), f"{moment:%H%M}|\r".encode("ascii")
        taken = yield from self._command_mode()
        for part in (b"W|", b"D|", date, b"W|", b"T|", time):
            taken = taken and (yield from self._ask(part)) == ACK
        if not taken:
            yield Observe(Notice("contour_usb.clock_not_set", fault=True))
        yield from self.look(whole=True)

    def _call(self, known: list[bytes]) -> Part:
        """Say EOT until the meter enquires, and take the header that may come before. Raises NoAnswer."""
        for _ in range(CALLS):
            yield self._send(EOT)
            for _ in range(MOST_BETWEEN):
                answer = yield Listen(within=ANSWER)
                if not isinstance(answer, Frame):
                    break
                for piece in said(answer.data):
                    with suppress(MalformedValue):
                        yield from self._tell(self._heard.take(piece, answer.data), known)
                    if piece == ENQ:
                        return
        raise NoAnswer("no ENQ")

    def _answer(self, piece: bytes, frame: bytes, known: list[bytes]) -> Generator[Step, Answer, bool]:
        """Answer one ENQ or frame; return whether that ends the download, because nothing is new."""
        try:
            told = self._heard.take(piece, frame)
        except MalformedValue:
            yield self._send(NAK)
            return False
        if piece != ENQ and not piece.startswith(STX):
            return False
        if (yield from self._tell(told, known)):
            yield from self._ask(EOT)  # its ENQ is left alone until the next look
            return True
        yield self._send(ACK)
        return False

    def _tell(self, told: Sequence[Decoded], known: list[bytes]) -> Generator[Step, Answer, bool]:
        """Pass on what is new; return whether the memory begins as it was *known*."""
        beginning = self._heard.beginning
        if beginning and beginning[:1] != self._header:
            self._header, self._known = beginning[:1], []
            self._told.forget()
        as_known = bool(known) and beginning == known[: len(beginning)]
        for one in told:
            if not as_known or isinstance(one, Reading | Refusal):
                yield from self._told.news([one])
        return as_known and len(beginning) == BEGINNING

    def _command_mode(self) -> Generator[Step, Answer, bool]:
        """Stop what the meter is sending and enquire; return whether it will take commands."""
        for _ in range(CALLS):
            if (yield from self._ask(NAK)) == EOT:
                return (yield from self._ask(ENQ)) == ACK
        return False

    def _ask(self, question: bytes) -> Generator[Step, Answer, bytes]:
        """Say *question* and return the control byte that ends the meter's answer; nothing: none came."""
        yield self._send(question)
        for _ in range(MOST_BETWEEN):
            answer = yield Listen(within=ANSWER)
            if not isinstance(answer, Frame):
                break
            if controls := [piece for piece in said(answer.data) if not piece.startswith(STX)]:
                return controls[-1]
        return b""

    def _send(self, data: bytes) -> Send:
        return Send(data if self._serial else report(data))


def _shaped(driver: Driver, settings: Settings) -> Driver:
    """Return the driver for a USB or a serial model. Raises ValueError for any other."""
    if settings["model"] == "usb":
        return driver
    if settings["model"] != "serial":
        raise ValueError(f"model {settings['model']!r} is neither usb nor serial")
    cable = Serial(usb=((0x1A79, 0x6001),))
    return replace(driver, link=cable, framer=AstmFramer, decode=decoder(average=True))


DRIVER = Driver(
    name="contour_usb",
    title="Bayer/Ascensia Contour glucose meter",
    models=("Contour (serial)", "Contour USB", "Contour Next, Next USB, Next Link, Next One"),
    kinds=(Kind.GLUCOSE,),
    link=Hid(64, tuple((0x1A79, product) for product in USB)),
    framer=ContourFramer,
    decode=decoder(average=False),
    talk=talk,
    grade="A",
    provenance="document",
    sources="serial/contour_astm.md: glucometerutils contourusb.py and its test; Tidepool bayerContour.js, "
    "bayerContourNext.js and a frame in its comment",
    not_known=(
        "whether the newest or the oldest result comes first, and whether a result's number stays the same",
        "whether the value beside < or > is the limit or one beyond it (passed on as sent)",
        "what reference method D and marks other than B, A, F, C, E, T, < and > mean",
        "whether a meter that stays plugged in can measure",
        "whether a meter told another unit repeats its memory in it (its results would be stored again)",
        "whether every USB model takes a clock setting; one that does not keeps its clock",
    ),
    orders=("read_records", "set_clock"),
    settings={"model": "usb"},
    shaped=_shaped,
)
