"""DBA-310 body-composition machine (东华原).

Line: text lines ended by LF; baud rate not known. The host asks who is there, then which step the machine is
at, and reads the result when it has finished. A measurement is started, and the person's data are told, only
on a person's order. No source states the unit of the weight: it is taken as kg where the machine's own BMI
and height say so, and refused where they do not.
"""

import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from decimal import Decimal

from drivers.catalogue import Decoded, Driver, Refusal, Serial
from drivers.dialogue import Answer, Dialogue, Listen, Observe, Order, Send, Settings, Step
from drivers.push import pass_on
from protocol.errors import MalformedValue, NoAnswer
from protocol.framing import Frame, LineFramer
from protocol.quantities import Quantity
from protocol.readings import Event, Identified, Kind, Measure, Notice, Progress, Reading

IDENTITY, STEP, RESULT, ERROR = b"*idn?\n", b"*stp?\n", b"*read?\n", b"*err?\n"
START = b"*mea\n"
START_ORDER = "start_body_composition"
SEXES = {"male": "1", "female": "0"}
STEPS = {"1": "idle", "2": "person", "3": "measuring", "4": "finished"}
IDLE, MEASURING, FINISHED = "1", "3", "4"
SAID = re.compile(r"\*?(?P<name>[a-z0-9]{1,12}) ?= ?(?P<text>[ -:<-~]{0,40}?);?")
IDENTITY_LINE = re.compile(r"dhy,dba310,([0-9]{8})")
NUMBER = re.compile(r"[0-9]{1,4}(\.[0-9]{1,2})?")
VALUES = {
    "hei": (Measure.BODY_HEIGHT, "cm"),
    "wei": (Measure.BODY_WEIGHT, "kg"),
    "bmi": (Measure.BMI, "kg/m2"),
    "pbf": (Measure.BODY_FAT, "%"),
}
CONTEXT = ("age", "tbw", "pro", "mus", "min", "ffm", "fat", "vfa", "whr", "smm", "bmr", "score")
"""Passed on under the machine's own names: their units are not stated."""
FIRST = frozenset({"id", "date"})
"""What the lines of a result begin with."""
WORDS = frozenset({"ok", "over", "measing"})
HARMLESS = frozenset({*VALUES, *CONTEXT, "date", "gen", "stp", "err", "ra50k", "rl50k"})
"""What may stay in a recording; its text must be of figures."""
NAMED_BY = ("date", "wei", "pbf", "bmr", "ra50k", "rl50k")
"""Two results in which all of these are equal are one."""
BMI_APART = Decimal("0.3")
MOST_LINES = 200
ANSWER, EVERY = 2.0, 2.0
"""Ours: seconds the machine has to answer; seconds between two looks."""

Said = Mapping[str, str]


def decode(frames: Iterable[Frame]) -> Iterator[Decoded]:
    """Yield what the lines say; the lines of a result count together, from the first up to `over`."""
    result: dict[str, str] = {}
    evidence: list[bytes] = []
    for frame in frames:
        line = frame.data.strip(b"\r\n \0").decode("latin-1")
        found = SAID.fullmatch(line)
        if found and len(result) < MOST_LINES and (result or found["name"] in FIRST):
            result[found["name"]] = found["text"].strip()
            evidence.append(frame.data)
            continue
        if result and line == "over":
            yield from _refusable(_result(result, (*evidence, frame.data)), frame.data)
        elif result:
            yield Refusal(frame.data, "device.malformed", "a result cut short")
        else:
            yield from _refusable(_line(line, frame.data), frame.data)
        result, evidence = {}, []
    if result:
        yield Refusal(evidence[-1], "device.malformed", "a result cut short")


def _refusable(said: Iterator[Reading | Event], frame: bytes) -> Iterator[Decoded]:
    try:
        yield from said
    except MalformedValue as refused:
        yield Refusal(frame, refused.code, refused.detail)


def _line(line: str, frame: bytes) -> Iterator[Reading | Event]:
    """Yield what a line that belongs to no result says."""
    name, _, text = line.lstrip("*").rstrip(";").partition("=")
    if (found := IDENTITY_LINE.fullmatch(line)) is not None:
        yield Identified(found[1], {"model": "dba310"})
    elif line == "measing":
        yield Progress(Kind.BODY_COMPOSITION, {}, STEPS[MEASURING])
    elif name == "stp" and text in STEPS:
        yield Progress(Kind.BODY_COMPOSITION, {}, STEPS[text], underway=text != IDLE)
    elif name == "err" and re.fullmatch("[0-9]", text):
        if text != "0":
            yield Reading(Kind.BODY_COMPOSITION, {}, (frame,), failed=f"device_error:{text}")
    elif line != "ok" and not (name == "wei" and NUMBER.fullmatch(text)):
        raise MalformedValue("no answer of this machine")


def _result(told: Said, evidence: tuple[bytes, ...]) -> Iterator[Reading | Event]:
    numbers = {name: Decimal(told[name]) for name in VALUES if NUMBER.fullmatch(told.get(name, ""))}
    if not numbers.get("wei"):
        raise MalformedValue("a result without a weight")
    height, bmi = numbers.get("hei"), numbers.get("bmi")
    if not height or not bmi or abs(numbers["wei"] / (height / 100) ** 2 - bmi) > BMI_APART:
        raise MalformedValue("height, weight and BMI do not fit in cm and kg", code="dba310.unit")
    context = {name: told[name] for name in CONTEXT if told.get(name)}
    if (sex := {code: word for word, code in SEXES.items()}.get(told.get("gen", ""))) is not None:
        context["sex"] = sex
    if len(set(told.get("id", ""))) > 1:
        context["patient_id"] = told["id"]
    if told.get("date"):
        context["machine_date"] = told["date"]
    yield Reading(
        Kind.BODY_COMPOSITION,
        {VALUES[name][0]: Quantity(number, VALUES[name][1]) for name, number in numbers.items() if number},
        evidence,
        context=context,
        record=" ".join(told.get(name, "") for name in NAMED_BY) if told.get("date") else None,
    )


def redact(frame: bytes) -> bytes:
    """Return *frame* with `-` for what a person typed, and for all that is not known to name nobody."""
    line = frame.strip(b"\r\n \0")
    begin = frame.index(line)
    text = line.decode("latin-1")
    if text in WORDS or IDENTITY_LINE.fullmatch(text):
        return frame
    name, equals, said = text.partition("=")
    if name.strip("* ") not in HARMLESS or not re.fullmatch("[-0-9 .:/;]*", said):
        said = re.sub("[^;]", "-", said)
    if not equals or not re.fullmatch(r"\*?[a-z0-9]{1,12} ?", name):
        name, equals, said = "-" * len(text), "", ""
    return frame[:begin] + f"{name}{equals}{said}".encode("latin-1") + frame[begin + len(line) :]


def talk(_settings: Settings) -> Dialogue:
    """Follow the machine's steps and read each finished result; start it only when a person asks."""
    yield from pass_on(decode([(yield from _asked(IDENTITY))]))
    step, taken = "", False
    while True:
        frame = yield from _asked(STEP)
        now = frame.data.strip(b"\r\n; ").decode("latin-1")[-1:]
        if now == FINISHED:
            taken = taken or (yield from _read())
        elif now != step:
            if step == MEASURING:
                yield from pass_on(decode([(yield from _asked(ERROR))]))
            yield from pass_on(decode([frame]))
            taken = False
        step = now
        answer = yield Listen(EVERY, orders=True)
        if isinstance(answer, Order) and answer.name == START_ORDER:
            yield from _start(answer)


def _asked(question: bytes) -> Generator[Step, Answer, Frame]:
    """Return the first sensible line after *question*; raise NoAnswer where none comes."""
    yield Send(question)
    while isinstance(answer := (yield Listen(within=ANSWER)), Frame):
        if not any(isinstance(said, Refusal) for said in decode([answer])):
            return answer
    raise NoAnswer(f"no answer to {question.decode('ascii').strip()}")


def _read() -> Generator[Step, Answer, bool]:
    """Read the result; return whether the machine told all of it, understood or not."""
    yield Send(RESULT)
    frames: list[Frame] = []
    while len(frames) <= MOST_LINES and isinstance(answer := (yield Listen(ANSWER)), Frame):
        frames.append(answer)
        if answer.data.strip() in {b"over", b"measing"}:
            yield from pass_on(decode(frames))
            return answer.data.strip() == b"over"
    return False


def _start(order: Order) -> Generator[Step, Answer, None]:
    """Tell the machine about the person and start it; anything but `ok` ends the order."""
    try:
        commands = person_commands(order.arguments)
    except ValueError as wrong:
        yield Observe(Notice("dba310.person", {"reason": str(wrong)}, fault=True))
        return
    for command in (*commands, START):
        frame = yield from _asked(command)
        if frame.data.strip() != b"ok":
            detail = {"command": command.decode("ascii").strip(), "answer": frame.data.hex(" ")}
            yield Observe(Notice("dba310.refused", detail, fault=True))
            return


def person_commands(person: Said) -> tuple[bytes, ...]:
    """Return the commands that tell id (if given), height, age and sex; ValueError says what is wrong."""
    number, height, age = (person.get(name, "") for name in ("id", "height_cm", "age"))
    if not re.fullmatch("[0-9A-Za-z]{0,20}", number):
        raise ValueError("id: up to 20 figures and letters")
    if not re.fullmatch(r"[0-9]{2,3}(\.[0-9])?", height):
        raise ValueError("height_cm: a height in centimetres")
    if not re.fullmatch("[0-9]{1,2}", age):
        raise ValueError("age: 0 to 99")
    if person.get("sex") not in SEXES:
        raise ValueError("sex: male or female")
    told = [f"id={number}"] if number else []
    told += [f"hei={Decimal(height):05.1f}", f"age={int(age):02d}", f"gen={SEXES[person['sex']]}"]
    return tuple(f"*{one}\n".encode("ascii") for one in told)


DRIVER = Driver(
    name="dba310",
    title="DBA-310 body-composition machine",
    models=("DBA-310",),
    kinds=(Kind.BODY_COMPOSITION,),
    link=Serial(),
    framer=LineFramer,
    decode=decode,
    talk=talk,
    grade="C",
    provenance="constructed",
    sources="serial/height_weight_lines.md: one program's list of commands (TcfCommands.cs)",
    not_known=(
        "baud rate, parity and stop bits (9600 8N1 is a guess of ours)",
        "the unit of the weight (kg only where the machine's own BMI says so)",
        "the form of its date (passed on as text) and whether its clock has one",
        "whether *mea needs every one of the person's data, and in which step it is taken",
        "the exact form of the answer to *err?",
    ),
    orders=(START_ORDER,),
    redact=redact,
)
