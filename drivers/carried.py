"""A conversation written for a line, carried over Bluetooth; a helper of drivers, none itself."""

from collections import deque
from dataclasses import replace

from drivers.dialogue import Answer, Dialogue, Listen, Observe, Order, Report, Send, Step, Subscribe, Write
from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.readings import Progress


def carried(dialogue: Dialogue, notify: str, write: str, gap: float = 0.0) -> Dialogue:
    """Play *dialogue*: what it sends is written to *write*, what it hears comes from *notify*.

    Two writes are at least *gap* seconds apart; nothing that is heard meanwhile is lost. Raises NoAnswer
    where the device has no such characteristic.
    """
    if (yield Subscribe(notify)) is not True:
        raise NoAnswer(f"no characteristic {notify}")
    heard: deque[Frame] = deque()
    written = False
    answer: Answer = None
    while True:
        try:
            step = dialogue.send(answer)
        except StopIteration:
            return
        answer = None
        if isinstance(step, Listen):
            answer = heard.popleft() if heard else (yield step)
        elif isinstance(step, Send):
            while gap and written and isinstance(between := (yield Listen(within=gap)), Frame):
                heard.append(between)
            yield Write(write, step.data)
            written = True
        else:
            answer = yield step


def fresh(dialogue: Dialogue) -> Dialogue:
    """Play *dialogue*: a result is live only where its measurement was seen under way at this contact.

    Every other one is from the device's memory: nobody knows who sat there. A failure is live after an order
    too, as it may come at once.
    """
    measuring = ordered = False
    answer: Answer = None
    while True:
        try:
            step: Step = dialogue.send(answer)
        except StopIteration:
            return
        if isinstance(step, Observe) and isinstance(step.event, Progress) and step.event.underway:
            measuring = True
        elif isinstance(step, Report):
            live = measuring or (ordered and step.reading.failed is not None)
            step = Report(replace(step.reading, stored=not live))
            measuring = ordered = False
        answer = yield step
        ordered = ordered or (isinstance(answer, Order) and answer.name.startswith("start_"))
