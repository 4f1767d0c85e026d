"""PAR Medizintechnik / Medlab NIBP 2010 and 2020 modules with their text protocol.

Cable: 4800 baud, 8N1 in the one open sketch. The module inflates when told `01`: on a person's order only. It
streams digits while it measures and its last result stays readable, so a result is taken only after digits
were heard since the order, and only if the status then says something else than before.
Only the first pressure is confirmed to be the systolic one. Which of the others is diastolic no source says:
they are context, until a technician has compared them with the display and set `pressures`.
The text itself is in `protocol/par.py`.
"""

from collections.abc import Generator
from dataclasses import replace
from functools import partial

from drivers.catalogue import Decode, Driver, Serial, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Listen, Observe, Order, Report, Send, Settings, Step
from drivers.push import pass_on
from protocol import par
from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.par import MANUAL, START, STATUS, command
from protocol.readings import Kind, Notice, Progress, Reading

ANSWER = 2.0
FIRST_DIGIT = 10.0
QUIET = 3.0
LIMIT = 120.0
"""Ours: seconds for an answer, until the first digit, without a digit at the end, and for digits in all."""
LOOKS = 3
"""Ours: how often the status may say what it said before the start, until there is no result."""
START_ORDER, MANUAL_ORDER = "start_blood_pressure", "stop_automatic"


def decoder(pressures: str) -> Decode:
    """Return the decoder for one meaning of the second and third pressure."""
    return frame_by_frame(partial(par.decode_answer, pressures=pressures))


def talk(settings: Settings) -> Dialogue:
    """Ask for the status, then wait for orders; what the module says unasked is no result of ours."""
    decode = decoder(str(settings["pressures"]))
    yield from _status()
    while True:
        answer = yield Listen(orders=True)
        if isinstance(answer, Order) and answer.name == START_ORDER:
            yield from _measure(decode)
        elif isinstance(answer, Order):
            yield Send(command(MANUAL))


def _status() -> Generator[Step, Answer, Frame]:
    """Return the status answer; raises NoAnswer."""
    yield Send(command(STATUS))
    while isinstance(answer := (yield Listen(within=ANSWER)), Frame):
        if par.outcome(answer.data) is not None:
            return answer
    raise NoAnswer("no status")


def _measure(decode: Decode) -> Generator[Step, Answer, None]:
    """Start, wait for the end of the digits, and report what the status then says, if it is news."""
    before = par.outcome((yield from _status()).data)
    yield Send(command(START))
    if not (yield from _digit(Listen(orders=True, within=FIRST_DIGIT))):
        raise NoAnswer("no cuff pressure since the start")
    yield Observe(Progress(Kind.BLOOD_PRESSURE, {}, "measuring"))
    for _ in range(LOOKS):
        while (yield from _digit(Listen(timeout=QUIET, orders=True, within=LIMIT))):
            pass
        after = yield from _status()
        if par.outcome(after.data) != before:
            yield from pass_on(decode([after]))
            return
    yield Report(Reading(Kind.BLOOD_PRESSURE, {}, (after.data,), failed="no_result"))


def _digit(listen: Listen) -> Generator[Step, Answer, bool]:
    """Say whether a digit came in time; an order that came instead is dealt with."""
    while (answer := (yield listen)) is not None:
        if isinstance(answer, Frame) and answer.data.isdigit():
            return True
        if isinstance(answer, Order) and answer.name == MANUAL_ORDER:
            yield Send(command(MANUAL))
        elif isinstance(answer, Order):
            yield Observe(Notice("nibp.already_measuring"))
    return False


def shaped(driver: Driver, settings: Settings) -> Driver:
    """Return the driver for the stated meaning of the pressures. Raises ValueError where there is none."""
    if settings["pressures"] not in par.ORDERS:
        raise ValueError(f'pressures: "{settings["pressures"]}" is none of {", ".join(par.ORDERS)}')
    return replace(driver, decode=decoder(str(settings["pressures"])))


DRIVER = Driver(
    name="par_nibp20xx",
    title="PAR Medizintechnik / Medlab blood-pressure module",
    models=("NIBP 2010", "NIBP 2020"),
    kinds=(Kind.BLOOD_PRESSURE,),
    link=Serial(baudrate=4800),
    framer=par.AnswerFramer,
    decode=decoder("unconfirmed"),
    talk=talk,
    grade="B",
    provenance="constructed",
    sources="serial/par_nibp20xx.md: the NIBP-ABATON sketch and a forum's quotation of the module guide",
    not_known=(
        "whether the second pressure is the diastolic or the mean one (setting `pressures`, after comparing)",
        "what the state, alarm and message numbers mean (any alarm or message is taken as a failure)",
        "how the streamed digits group into pressures (they are shown as progress without a number)",
        "how a measurement under way is stopped: no such command is known, use the key of the machine",
        "whether the status may be asked while the module measures (it is asked after a silence)",
        "how the module answers a start",
    ),
    orders=(START_ORDER, MANUAL_ORDER),
    settings={"pressures": "unconfirmed"},
    shaped=shaped,
)
