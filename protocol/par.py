"""Text of PAR Medizintechnik / Medlab blood-pressure modules (NIBP 2010, 2020).

`STX body ;; CC ETX`, the module adds CR: CC is the sum of all between STX and CC in two capital hexadecimal
digits. Between the answers the module puts bare digits on the line while it measures: the cuff pressure.
Source: protocols sheet serial/par_nibp20xx.md.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal

from protocol.checks import sum8
from protocol.errors import MalformedValue
from protocol.framing import Frame, Held, Noise
from protocol.quantities import Quantity
from protocol.readings import Event, Kind, Measure, Progress, Reading

STX, ETX = b"\x02", b"\x03"
LONGEST = 128
"""Ours: the known status answer has 45 characters."""

START, MANUAL, STATUS = "01", "03", "18"
"""All that is ever sent: start one measurement, stop the automatic cycle, status and last result."""

ANSWER = re.compile(
    rb"S(?P<state>\d);A(?P<alarm>\d);C(?P<cycle>\d\d);M(?P<message>\d\d);"
    rb"P(?P<first>\d{3})(?P<second>\d{3})(?P<third>\d{3});R(?P<pulse>\d{3});T(?P<next>\d{4});;"
)
DIASTOLIC_SECOND, MEAN_SECOND = "systolic_diastolic_mean", "systolic_mean_diastolic"
ORDERS: Mapping[str, Mapping[str, Measure]] = {
    "unconfirmed": {},
    DIASTOLIC_SECOND: {"second": Measure.DIASTOLIC, "third": Measure.MEAN_PRESSURE},
    MEAN_SECOND: {"second": Measure.MEAN_PRESSURE, "third": Measure.DIASTOLIC},
}
"""What the second and third pressure are; no source confirms it, so by default neither is a value."""


class AnswerFramer(Held):
    """Checked answers from STX to ETX, and each bare digit between them as a frame of its own."""

    def feed(self, chunk: bytes) -> Iterator[Frame | Noise]:
        """Yield each whole answer, each digit between answers, and the noise."""
        for at in range(0, len(chunk), LONGEST):
            self._held += chunk[at : at + LONGEST]
            while self._held and (piece := self._next()) is not None:
                yield piece

    def finish(self) -> Iterator[Frame | Noise]:
        """Yield what is held as noise: an answer without its end is not whole."""
        if self._held:
            yield Noise(self._take(len(self._held)), "incomplete")

    def _next(self) -> Frame | Noise | None:
        held = self._held
        if not held.startswith(STX):
            one = self._take(1)
            return Frame(one) if one.isdigit() else Noise(one, "" if one in b"\r\n" else "no frame start")
        begun_again, end = held.find(STX, 1, LONGEST), held.find(ETX, 0, LONGEST)
        if begun_again > 0 and not 0 < end < begun_again:
            return Noise(self._take(begun_again), "no frame end")
        if end > 0:
            whole = self._take(end + 1)
            return Frame(whole) if _checked(whole) else Noise(whole, "check failed")
        return Noise(self._take(LONGEST), "frame too long") if len(held) > LONGEST else None


def _checked(frame: bytes) -> bool:
    body, check = frame[1:-3], frame[-3:-1]
    return len(frame) <= LONGEST and body.endswith(b";;") and b"%02X" % sum8(body) == check


def command(body: str) -> bytes:
    """Return the host's message around *body*; ValueError for any but the three known ones."""
    if body not in {START, MANUAL, STATUS}:
        raise ValueError(f"never sent: {body!r}")
    summed = f"{body};;".encode("ascii")
    return STX + summed + b"%02X" % sum8(summed) + ETX


def outcome(frame: bytes) -> bytes | None:
    """Return the part of a status answer that tells one outcome from another; None for any other frame."""
    found = ANSWER.fullmatch(frame[1:-3])
    return None if found is None else b" ".join(found.group("alarm", "message", "first", "pulse"))


def decode_answer(frame: bytes, pressures: str) -> Iterator[Reading | Event]:
    """Yield what a frame says, *pressures* naming the second and third; raises MalformedValue."""
    if frame.isdigit():
        yield Progress(Kind.BLOOD_PRESSURE, {}, "measuring")
        return
    found = ANSWER.fullmatch(frame[1:-3])
    if found is None:
        raise MalformedValue("not a status answer")
    text = {name: value.decode("ascii") for name, value in found.groupdict().items()}
    context = {name: text[name] for name in ("state", "alarm", "cycle", "message")}
    known = ORDERS[pressures]
    if not known:
        context |= {"second_pressure": text["second"], "third_pressure": text["third"]}
    numbers = {Measure.SYSTOLIC: text["first"]} | {known[name]: text[name] for name in known}
    failed = None
    if int(text["message"]) or int(text["alarm"]):
        failed = f"device_error:{text['message']}"
    elif not all(map(int, numbers.values())):
        failed = "no_result"
    values = {measure: Quantity(Decimal(int(number)), "mm[Hg]") for measure, number in numbers.items()}
    if int(text["pulse"]):
        values[Measure.PULSE_RATE] = Quantity(Decimal(int(text["pulse"])), "/min")
    yield Reading(Kind.BLOOD_PRESSURE, {} if failed else values, (frame,), context=context, failed=failed)
