"""SD Biosensor CodeFree glucose meter on its 2.5 mm jack cable (CP210x): binary packets, 38400 8N1.

The meter speaks first, when it is switched on with the cable in, and wants an answer at once. Then it gives
one record after another, newest first, and goes. A command it does not expect locks it (E-5 on its display),
so only the two that read are ever sent. Values are mg/dL. It tells neither its clock nor who it is.
The packets are in `protocol/sd_biosensor.py`.
"""

from collections.abc import Generator

from drivers.catalogue import Decoded, Driver, Serial, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Listen, Send, Settings, Step
from drivers.meters import Answered, Told, incomplete
from drivers.push import pass_on
from protocol import sd_biosensor
from protocol.framing import Frame
from protocol.readings import Kind
from protocol.sd_biosensor import CHALLENGE, FETCH, HERE, counted, is_record, message_of, packet

ANSWER = 3.0
"""Ours: seconds a meter has to answer."""

decode = frame_by_frame(sd_biosensor.decode_packet)


def talk(_settings: Settings) -> Dialogue:
    """Wait for the meter to be switched on, then read all it has."""
    while True:
        heard = yield Listen()
        while isinstance(heard, Frame):
            yield from pass_on(decode([heard]))
            heard = (yield from _read(Told())) if message_of(heard.data) == CHALLENGE else None


def _read(told: Told) -> Answered:
    """Read the memory and pass on what is new; return a challenge, if the meter was switched on again."""
    heard, said, whole = yield from _records()
    yield from told.news(said)
    if not whole:
        yield from incomplete()
    return heard if heard and message_of(heard.data) == CHALLENGE else None


def _records() -> Generator[Step, Answer, tuple[Frame | None, list[Decoded], bool]]:
    """Return the last thing heard, what the records say, newest first, and whether that is all of them."""
    said: list[Decoded] = []
    heard = yield from _ask(HERE)
    count = counted(message_of(heard.data)) if heard else None
    if count is None:
        return heard, said, False
    for _ in range(count):
        heard = yield from _ask(FETCH)
        if heard is None or not is_record(message_of(heard.data)):
            return heard, said, False
        said += decode([heard])
    heard = yield from _ask(FETCH)
    return heard, said, True


def _ask(message: bytes) -> Answered:
    """Send one of the two commands and return the next packet, None where none comes."""
    yield Send(packet(message))
    heard = yield Listen(within=ANSWER)
    return heard if isinstance(heard, Frame) else None


DRIVER = Driver(
    name="sd_codefree",
    title="SD CodeFree glucose meter",
    models=("SD Biosensor SD CodeFree",),
    kinds=(Kind.GLUCOSE,),
    link=Serial(baudrate=38400),
    framer=sd_biosensor.framer,
    decode=decode,
    talk=talk,
    grade="B",
    provenance="constructed",
    sources="serial/other_glucose_meters.md: glucometerutils, glucometer-protocols; one packet of theirs",
    not_known=(
        "what the two bytes before and the seven behind a record mean; a control solution may hide there",
        "how HI and LO stand in a record: values are taken as they come, zero is refused",
        "the unit, which the meter does not tell: mg/dL, as glucometerutils takes it",
        "the meter's clock and serial number: two meters on one cable cannot be told apart",
        "setting the clock is known and not offered: it must be sent in the moment the meter is switched on",
    ),
)
