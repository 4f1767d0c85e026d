"""SunTech Advantage OEM blood-pressure module, also inside Chinese makers' boards.

Cable: TTL or RS-232, 9600 8N1. The module inflates when told `3A 20`: that is sent on a person's order only,
and only while the cuff is empty. Its last result stays readable for ever, so it is asked for after the K of
a measurement that this conversation started, once, and at no other time.
The packets themselves are in `protocol/suntech.py`.
"""

from collections.abc import Generator
from dataclasses import replace

from drivers.catalogue import Driver, Serial, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Listen, Observe, Order, Report, Send, Settings, Step
from drivers.push import pass_on
from protocol import suntech
from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.readings import Kind, Notice, Progress, Reading
from protocol.suntech import ABORTED, ASLEEP, BUSY, FINISHED, TAKEN, command

START, ABORT = command(suntech.START), command(suntech.ABORT)
RESULT, PRESSURE = command(suntech.RESULT), command(suntech.PRESSURE)
EMPTY = 5
"""A measurement may start below this many mmHg."""
TRIES, BETWEEN = 6, 0.5
"""One known host waits 3 s for the cuff to be empty; how that is divided is ours."""
ANSWER = 2.0
"""Ours: seconds the module has to answer."""
POLL = 0.5
"""Ours: seconds between two questions for the cuff pressure; a known host asks eight times a second."""
LIMIT, QUIET = 360, 20
"""Ours: questions until a measurement is given up (180 s), and questions in a row without any answer."""
START_ORDER, STOP_ORDER = "start_blood_pressure", "stop_blood_pressure"

decode = frame_by_frame(suntech.decode_packet)


def talk(_settings: Settings) -> Dialogue:
    """Ask for the cuff pressure, then wait for orders; a result told unasked is not this conversation's."""
    yield from _cuff()
    while True:
        answer = yield Listen(orders=True)
        if isinstance(answer, Frame):
            yield from pass_on(item for item in decode([answer]) if not isinstance(item, Reading))
        elif isinstance(answer, Order) and answer.name == STOP_ORDER:
            yield Send(ABORT)
        elif isinstance(answer, Order):
            yield from _measure()


def _measure() -> Generator[Step, Answer, None]:
    """Start as soon as the cuff is empty and the module free, and report the outcome."""
    for _ in range(TRIES):
        if (yield from _cuff()) < EMPTY:
            told = yield from _start()
            if told is None:
                return
            if (letter := suntech.answer(told)) == TAKEN:
                yield from _follow(told)
                return
            if letter != BUSY:
                yield Observe(Notice("nibp.asleep" if letter == ASLEEP else "nibp.not_started", fault=True))
                return
        if (yield from _stopped_in_between()):
            return
    yield Observe(Notice("nibp.not_started", fault=True))


def _stopped_in_between() -> Generator[Step, Answer, bool]:
    """Let the time between two tries pass; returns whether a person stopped the order in it."""
    while (answer := (yield Listen(orders=True, within=BETWEEN))) is not None:
        if isinstance(answer, Order) and answer.name == STOP_ORDER:
            yield Send(ABORT)
            return True
    return False


def _cuff() -> Generator[Step, Answer, int]:
    """Return the cuff pressure in mmHg, `EMPTY` where the module is too busy to say; raises NoAnswer."""
    yield Send(PRESSURE)
    while isinstance(answer := (yield Listen(within=ANSWER)), Frame):
        pressure = suntech.cuff_pressure(answer.data)
        if pressure is not None:
            return pressure
        if suntech.answer(answer.data) == BUSY:
            return EMPTY
    raise NoAnswer("no cuff pressure")


def _start() -> Generator[Step, Answer, bytes | None]:
    """Start a measurement; returns the packet that says whether it runs, None where a person stopped it."""
    yield Send(START)
    while (answer := (yield Listen(orders=True, within=ANSWER))) is not None:
        if isinstance(answer, Frame) and suntech.answer(answer.data) in {TAKEN, BUSY, ABORTED, ASLEEP}:
            return answer.data
        if isinstance(answer, Order) and answer.name == STOP_ORDER:
            yield from _stop(b"")
            return None
    yield Send(ABORT)
    raise NoAnswer("the start was not answered")


def _follow(taken: bytes) -> Generator[Step, Answer, None]:
    """Show the cuff pressure of the measurement that runs since *taken*, and report its end."""
    unanswered = 0
    for _ in range(LIMIT):
        yield Send(PRESSURE)
        unanswered += 1
        while (answer := (yield Listen(orders=True, within=POLL))) is not None:
            if isinstance(answer, Order) and answer.name == STOP_ORDER:
                yield from _stop(taken)
                return
            if isinstance(answer, Order):
                yield Observe(Notice("nibp.already_measuring"))
            elif isinstance(answer, Frame):
                unanswered = 0
                if (letter := suntech.answer(answer.data)) == FINISHED:
                    yield from _fetch(answer.data)
                    return
                if letter == ABORTED:
                    yield Report(_failed("aborted", answer.data))
                    return
                yield from _show(answer)
        if unanswered == QUIET:
            break
    yield Send(ABORT)
    yield Report(_failed("timed_out", taken))


def _show(frame: Frame) -> Generator[Step, Answer, None]:
    for said in decode([frame]):
        if isinstance(said, Progress):
            yield Observe(replace(said, state="measuring", underway=True))


def _fetch(finished: bytes) -> Generator[Step, Answer, None]:
    """Ask for the result of the measurement that just *finished*, and report it."""
    for _ in range(TRIES):
        yield Send(RESULT)
        while isinstance(answer := (yield Listen(within=ANSWER)), Frame):
            if suntech.is_result(answer.data):
                yield from pass_on(decode([answer]))
                return
            if suntech.answer(answer.data) == BUSY:
                yield from _stopped_in_between()
                break
    yield Report(_failed("no_result", finished))


def _stop(taken: bytes) -> Generator[Step, Answer, None]:
    """Abort, a second time where it is not confirmed, and report what had begun as stopped here."""
    yield Send(ABORT)
    last = taken
    while isinstance(answer := (yield Listen(within=ANSWER)), Frame):
        if suntech.answer(answer.data) in {ABORTED, FINISHED}:
            last = answer.data
            break
    else:
        yield Send(ABORT)
    if last:
        yield Report(_failed("stopped_by_host", last))


def _failed(reason: str, frame: bytes) -> Reading:
    return Reading(Kind.BLOOD_PRESSURE, {}, (frame,), failed=reason)


DRIVER = Driver(
    name="suntech_nibp",
    title="SunTech Advantage OEM blood-pressure module",
    models=("SunTech Advantage OEM",),
    kinds=(Kind.BLOOD_PRESSURE,),
    link=Serial(),
    framer=suntech.framer,
    decode=decode,
    talk=talk,
    grade="A",
    provenance="document",
    sources="serial/suntech_nibp.md: ak-git/DesktopFX with its tests and the hwy0606/STM32F103 firmware",
    not_known=(
        "what the test codes, the status and the error numbers mean",
        "how the three bytes of a streamed cuff pressure are read (streaming is never switched on)",
        "the start codes for children and newborns (only the adult start is sent)",
        "what the module does at over-pressure, and whether it answers an abort with A or with K",
        "what the spare bytes hold",
    ),
    orders=(START_ORDER, STOP_ORDER),
)
