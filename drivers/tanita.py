"""Tanita body-composition scales: TBF-310, TBF-410, BC-418, MC-780 and others that write their form.

Cable: RS-232 (DC and MC models also USB). TBF 2400 baud and 7 data bits, the parity disputed: opened with 8
data bits and none, the eighth bit is taken off and its parity checked here, so that either parity is right.
BC-418 4800 8N1, MC-780 9600 8N1. Which units a line has depends on the model: name it in the setting `model`;
without it a line is read only where its own BMI tells cm and kg from inches and pounds.
A BC-418 in its PC mode is told about the person and started here, on a person's order and at no other time.
The lines themselves are in `protocol/tanita.py`.
"""

from collections.abc import Generator, Mapping
from dataclasses import replace
from functools import partial

from drivers.catalogue import Decode, Driver, Serial, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Listen, Observe, Order, Report, Send, Settings, Step
from drivers.push import pass_on, push
from protocol import tanita
from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.readings import Kind, Notice, Progress, Reading

TBF = Serial(baudrate=2400)
LINKS: Mapping[str, Serial] = {
    "": TBF,
    "tbf310": TBF,
    "tbf410": TBF,
    "bc418": Serial(baudrate=4800),
    "mc780": Serial(),
}
START_ORDER = "start_body_composition"
RESET, START = "\x1f", "G1"
ECHO_WAIT = 5.0
"""The known client waits so long, and once more, before it gives the scale up."""
RESULT_WAIT = 120.0
"""Ours: seconds a person has to step on and be measured."""

Told = Generator[Step, Answer, Frame | None]


def decoder(model: str) -> Decode:
    """Return the decoder of one model, or with an empty name of all that can be told apart."""
    return frame_by_frame(partial(tanita.decode_line, model=model))


def talk(settings: Settings) -> Dialogue:
    """Pass on each result; a BC-418 is also started, when a person asks."""
    model = str(settings["model"])
    return _bc418() if model == "bc418" else push(decoder(model))(settings)


def _bc418() -> Dialogue:
    decode = decoder("bc418")
    while True:
        answer = yield Listen(orders=True)
        if isinstance(answer, Order) and answer.name == START_ORDER:
            yield from _measure(answer, decode)
        elif isinstance(answer, Frame):
            yield from pass_on(decode([answer]))


def _measure(order: Order, decode: Decode) -> Generator[Step, Answer, None]:
    """Tell the scale about the person, start it, and wait for the result."""
    try:
        commands = tanita.person_commands(order.arguments)
    except ValueError as wrong:
        yield Observe(Notice("tanita.person", {"reason": str(wrong)}, fault=True))
        return
    yield Send(tanita.command(RESET))
    yield Listen(timeout=ECHO_WAIT)  # what a reset is answered with is not known
    for text in commands:
        if (yield from _echoed(text)) is None:
            return
    started = yield from _echoed(START)
    if started is None:
        return
    yield Observe(Progress(Kind.BODY_COMPOSITION, {}, "step_on"))
    while isinstance(answer := (yield Listen(within=RESULT_WAIT)), Frame):
        said = list(decode([answer]))
        yield from pass_on(said)
        if any(isinstance(item, Reading) for item in said):
            return
    yield Report(Reading(Kind.BODY_COMPOSITION, {}, (started.data,), failed="no_result"))


def _echoed(text: str) -> Told:
    """Send a command and return its echo, or None where the scale said something else: the order has ended.

    Raises NoAnswer where it says nothing.
    """
    yield Send(tanita.command(text))
    while isinstance(answer := (yield Listen(within=2 * ECHO_WAIT)), Frame):
        said = answer.data.strip(b"\r\n").decode("latin-1")
        if said == text[:2]:
            return answer
        if said.isascii() and said.isprintable():  # else it is noise on the line and no answer
            yield Observe(Notice("tanita.refused", {"command": text, "answer": said}, fault=True))
            return None
    raise NoAnswer(f"no echo of {text} within {2 * ECHO_WAIT:.0f} s")


def shaped(driver: Driver, settings: Settings) -> Driver:
    """Return the driver of the configured model. Raises ValueError where there is no such model."""
    model = str(settings["model"])
    if model not in LINKS:
        raise ValueError(f'model: "{model}" is none of {", ".join(tanita.MODELS)}')
    orders = driver.orders if model == "bc418" else ()
    return replace(driver, link=LINKS[model], decode=decoder(model), orders=orders)


DRIVER = Driver(
    name="tanita",
    title="Tanita body-composition scale",
    models=("TBF-310", "TBF-410", "BC-418", "MC-780"),
    kinds=(Kind.BODY_COMPOSITION, Kind.BODY_SIZE),
    link=TBF,
    framer=tanita.framer,
    decode=decoder(""),
    talk=talk,
    grade="A",
    provenance="document",
    sources="serial/tanita.md: obiba/onyx-instruments, XiMPLib BC418.cs, videntity/python-omhe; output "
    "tables of Tanita's SC-330 and SC-240 manuals for the named fields and their sum",
    not_known=(
        "whether a TBF-310 sends even or odd parity (both are read)",
        "the order of day and month where a TBF sends its date (passed on as text)",
        "what the last field of a TBF-410 means",
        "how a BC-418 answers a reset, and what it sends when a measurement fails",
        "the date of a DC-320 (one sample, year first; passed on as text)",
        "most of the named fields of an MC-780 (they stay in the evidence)",
    ),
    orders=(START_ORDER,),
    settings={"model": ""},
    shaped=shaped,
    redact=tanita.redact,
)
