"""An analyser that sends by ASTM E1381/E1394: frame by frame, and again what was not taken.

From the sheet astm_e1381_e1394: 15 s for an answer, six tries of a frame, then EOT; a message that was not
taken is kept and sent again. The faults are those of a bad line. How long it waits before that is ours.
"""

from collections import deque
from collections.abc import Generator
from datetime import datetime
from random import Random

from tools.simulators import (
    Act,
    Attached,
    Await,
    Cue,
    Device,
    Fail,
    Heard,
    Measure,
    OrderRefused,
    Pause,
    Say,
    Setup,
    Show,
    Simulator,
    Store,
    Values,
    attempt,
    decimal,
    scaled,
)

ENQ, ACK, NAK, EOT = b"\x05", b"\x06", b"\x15", b"\x04"
ANSWER_S, TRIES, BUSY_S, AGAIN_S = 15.0, 6, 10.0, 60.0
SIZES = {"240": 240, "50": 50, "whole": 64_000}
ENDS = {"crlf": b"\r\n", "cr": b"\r", "lf": b"\n"}
Sending = Generator[Act, Cue | None, bool]
"""A part of a transfer that ends knowing whether the host took it."""
Answer = Generator[Act, Cue | None, bytes | None]
EVERY = 3
"""With a fault of the line every third frame meets it, at its first try."""


class _Message:
    """One person's results, until the host has taken them."""

    def __init__(self, glucose: int, at: datetime, extras: Values) -> None:
        self.glucose, self.at, self.extras, self.shown = glucose, at, dict(extras), False

    def text(self, now: datetime) -> bytes:
        """Return the records; `hba1c` among the extras is a second result, `id` the person typed in."""
        lines = [
            f"H|\\^&|||Simulated Analyser^1.0^SIM0001|||||||P|1|{now:%Y%m%d%H%M%S}",
            f"P|1||{self.extras.get('id', '')}",
            "O|1|1||^^^Glucose",
            f"R|1|^^^Glucose|{decimal(self.glucose, 1)}|mmol/L||||F||||{self.at:%Y%m%d%H%M%S}",
            "C|1|I|simulated|G",
        ]
        if "hba1c" in self.extras:
            lines.append(f"R|2|^^^HbA1c|{self.extras['hba1c']}|%||||F||||{self.at:%Y%m%d%H%M%S}")
        return "".join(f"{line}\r" for line in [*lines, "L|1|N"]).encode()


def frame(number: int, text: bytes, last: bool, end: bytes = b"\r\n") -> bytes:
    """Return one frame; its sum counts from the number to ETX or ETB."""
    body = b"%d" % (number % 8) + text + (b"\x03" if last else b"\x17")
    return b"\x02" + body + b"%02X" % (sum(body) & 0xFF) + end


def device(setup: Setup) -> Device:
    """Send what is measured as soon as the host takes it."""
    analyser = _Analyser(setup)
    while True:
        if analyser.unsent:
            yield from analyser.send()
        cue = yield Await(AGAIN_S if analyser.unsent else None)
        yield from attempt(analyser.take(cue))


class _Analyser:
    def __init__(self, setup: Setup) -> None:
        self.unsent: deque[_Message] = deque()
        self._setup = setup
        self._spoilt = 0
        self._interrupted = False
        self._cues: deque[Cue] = deque()

    def take(self, cue: Cue | None) -> Device:
        """Notice what happens while nothing is sent."""
        match cue:
            case Measure(values, extras):
                glucose = scaled(values, "glucose", 1, 9999)
                self.unsent.append(_Message(glucose, self._setup.clock(), extras))
            case Store(records):
                self.unsent += [_stored(record) for record in records]
            case Fail():
                raise OrderRefused("no source states how an analyser tells that it failed")
            case _:
                pass
        yield from ()

    def send(self) -> Device:
        """Offer every message that was not taken, in one transfer each, until the host does not answer."""
        while self.unsent:
            message = self.unsent[0]
            taken = yield from self._transfer(message)
            if not message.shown:
                message.shown = True
                yield Show({"glucose": decimal(message.glucose, 1)})
            if taken:
                self.unsent.popleft()
            while self._cues:
                yield from attempt(self.take(self._cues.popleft()))
            if not taken and not self._interrupted:
                return

    def _transfer(self, message: _Message) -> Sending:
        yield from self._heed()
        self._interrupted = False
        yield Say(ENQ)
        answer = yield from self._answer()
        if answer == NAK:
            yield Pause(BUSY_S)
        if answer != ACK:
            return False
        for number, (part, last) in enumerate(self._parts(message), 1):
            if not (yield from self._frame(number, part, last=last)):
                if not self._interrupted:
                    yield Say(EOT)
                return False
        yield Say(EOT)
        return True

    def _heed(self) -> Device:
        """Take in what came while nobody waited: an old answer is none to what is said next."""
        while (cue := (yield Await(0))) is not None:
            if not isinstance(cue, Attached | Heard):
                self._cues.append(cue)

    def _parts(self, message: _Message) -> list[tuple[bytes, bool]]:
        text, size = message.text(self._setup.clock()), SIZES[self._setup.options["frame"]]
        return [(text[at : at + size], at + size >= len(text)) for at in range(0, len(text), size)]

    def _frame(self, number: int, part: bytes, *, last: bool) -> Sending:
        """Say one frame until it is taken; False where the host is silent, or wants no more."""
        whole = frame(number, part, last, ENDS[self._setup.options["end"]])
        yield from self._spoil(whole)
        for _ in range(TRIES):
            yield Say(whole, result=last)
            answer = yield from self._answer()
            if answer == ACK:
                return True
            if answer in {None, EOT}:
                return False
        return False

    def _spoil(self, whole: bytes) -> Device:
        """Let the line do something to every third frame first."""
        fault = self._setup.options["fault"]
        self._spoilt += 1
        if fault != "none" and self._spoilt % EVERY == 1:
            spoilt = {
                "sum": whole.replace(b"|", b"!", 1),
                "half": whole[: len(whole) // 2],
                "repeated": whole,
            }
            yield Say(spoilt[fault])
            yield from self._answer()

    def _answer(self) -> Answer:
        """Return the host's next control byte, None where none comes or the line was lost meanwhile."""
        while True:
            cue = yield Await(ANSWER_S)
            match cue:
                case Heard(data):
                    answers = [bytes([byte]) for byte in data if byte in ACK + NAK + EOT]
                    if answers:
                        return answers[0]
                case Attached():
                    self._interrupted = True
                    return None
                case None:
                    return None
                case other:
                    self._cues.append(other)


def _stored(record: Values) -> _Message:
    try:
        at = datetime.fromisoformat(record["at"])
    except (KeyError, ValueError):
        raise OrderRefused("a stored result needs its time as `at`, in ISO 8601") from None
    return _Message(scaled(record, "glucose", 1, 9999), at, {})


def person(chance: Random) -> Values:
    """Return a plausible person's blood sugar in mmol/L."""
    return {"glucose": decimal(chance.randint(39, 139), 1)}


SIMULATOR = Simulator(
    device,
    person,
    {
        "frame": ("240", "50", "whole"),
        "end": ("crlf", "cr", "lf"),
        "fault": ("none", "sum", "half", "repeated"),
    },
)
