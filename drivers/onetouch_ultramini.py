"""LifeScan OneTouch UltraMini and UltraEasy on the 2.5 mm jack cable: binary packets, 9600 8N1.

Values are always mg/dL. Each side toggles a bit with each packet it sends and says which it expects; every
look begins with the reset packet, because a pulled cable leaves the two out of step. The clock counts seconds
since 1970 in the meter's own time; the same brand's Verio counts from 2000, so an earlier moment is never
believed. The packets are in `protocol/lifescan.py`.
"""

from collections.abc import Callable, Generator, Sequence
from datetime import datetime

from drivers.catalogue import Decoded, Driver, Serial, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Listen, Send, Settings, Step
from drivers.memory import download
from drivers.meters import MOST_BETWEEN, Answered, Part, attend, incomplete, without_results
from drivers.push import pass_on
from protocol import lifescan
from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.lifescan import ACK, EXPECT, RESET, SEND, message_of, packet
from protocol.readings import Kind, Measure

ANSWER = 2.0
"""Ours: seconds a meter has to answer."""
TRIES = 3
"""Ours: times a link that fell out of step is begun anew for one question."""

decode = frame_by_frame(lifescan.decode_packet)

unasked = without_results(decode)


def talk(_settings: Settings) -> Dialogue:
    """Ask who is there, for its clock and for each new record, again and again."""
    meter = _Meter()
    return attend(meter, meter.set_clock)


class _Meter:
    """The questions put to the meter that hangs on the cable now, and where the link's toggles stand."""

    def __init__(self) -> None:
        self.decode = unasked
        self._toggles = 0
        self._in_step = False
        self._identity = b""

    def look(self, *, whole: bool) -> Part:
        """Ask who is there, and for the records it has more than last time."""
        del whole
        if not (yield from self._reset()):
            raise NoAnswer("no answer to the reset packet")
        identity = yield from self._ask(lifescan.READ_SERIAL, _is_serial)
        if identity is None:
            raise NoAnswer("no serial number")
        if message_of(identity.data) != self._identity:
            self._identity = message_of(identity.data)
            yield from pass_on(decode([identity]))
            yield from self._clock(lifescan.READ_CLOCK)
        yield from self._records()

    def set_clock(self, moment: datetime) -> Part:
        """Set the clock; the meter says what it is now."""
        yield from self._clock(lifescan.set_seconds(moment))

    def _clock(self, message: bytes) -> Part:
        clock = yield from self._ask(message, _is_clock)
        yield from pass_on(decode([clock]) if clock else ())

    def _records(self) -> Part:
        count = yield from self._ask(lifescan.read_record(lifescan.COUNT), _is_count)
        if count is None or not (yield from download(self._record, lifescan.counted(count.data))):
            yield from incomplete()

    def _record(self, number: int) -> Generator[Step, Answer, Sequence[Decoded] | None]:
        record = yield from self._ask(lifescan.read_record(number), _is_record)
        return list(decode([record])) if record else None

    def _reset(self) -> Generator[Step, Answer, bool]:
        """Begin the link anew; both toggles are down after it."""
        for _ in range(TRIES):
            yield Send(packet(RESET))
            for _ in range(MOST_BETWEEN):
                answer = yield Listen(within=ANSWER)
                if not isinstance(answer, Frame):
                    break
                if answer.data[2] & RESET:
                    self._toggles, self._in_step = 0, False
                    return True
        return False

    def _ask(self, message: bytes, right: Callable[[bytes], bool]) -> Answered:
        """Put a question and return its answer; a link out of step is begun anew."""
        for _ in range(TRIES):
            yield Send(packet(self._toggles, message))
            self._toggles ^= SEND
            found = yield from self._answer(right)
            if found is not None or not (yield from self._reset()):
                return found
        return None

    def _answer(self, right: Callable[[bytes], bool]) -> Answered:
        """Return the packet that answers; one the meter sends again is taken again and otherwise ignored."""
        for _ in range(MOST_BETWEEN):
            answer = yield Listen(within=ANSWER)
            if not isinstance(answer, Frame):
                return None
            if not message_of(answer.data):
                continue
            again = self._is_again(answer.data[2])
            yield Send(packet(self._toggles | ACK))
            if not again:
                return answer if right(message_of(answer.data)) else None
        return None

    def _is_again(self, link: int) -> bool:
        """Note that a packet with data came; say whether it is the one before, sent again.

        The first after a reset is the meter's word on where its toggle stands.
        """
        sent, expected = link & SEND, self._toggles & EXPECT
        if self._in_step and bool(sent) is not bool(expected):
            return True
        self._in_step = True
        self._toggles = self._toggles & SEND | (0 if sent else EXPECT)
        return False


def _is_serial(message: bytes) -> bool:
    return message.startswith(lifescan.WELL) and len(message) >= 11


def _is_clock(message: bytes) -> bool:
    return message.startswith(lifescan.WELL) and len(message) == 6


def _is_count(message: bytes) -> bool:
    return message.startswith(lifescan.COUNTED) and len(message) == 4


def _is_record(message: bytes) -> bool:
    return message.startswith(lifescan.WELL) and len(message) == 10


DRIVER = Driver(
    name="onetouch_ultramini",
    title="OneTouch UltraMini and UltraEasy glucose meter",
    models=("LifeScan OneTouch UltraMini", "LifeScan OneTouch UltraEasy"),
    kinds=(Kind.GLUCOSE,),
    link=Serial(),
    framer=lifescan.packets,
    decode=decode,
    talk=talk,
    grade="A",
    provenance="constructed",
    sources="serial/lifescan_onetouch.md: glucometerutils and its tests, Tidepool",
    not_known=(
        "how HI and LO stand in a record: above 600 and below 20 mg/dL is taken for them, as Tidepool does",
        "how a test with control solution is told apart, if at all",
        "where the toggles stand after a reset: both down, as the acknowledgement among the vectors shows",
        "what a meter says to a record that it does not have",
    ),
    orders=("read_records", "set_clock"),
    machine_range={Measure.GLUCOSE: lifescan.SHOWN},
)
