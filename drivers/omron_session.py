"""One session of questions to an Omron monitor's memory; a helper of `drivers/omron_ble.py`, none itself."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

from drivers.catalogue import Decoded, Refusal
from drivers.dialogue import Answer, Known, Listen, Observe, Step, Write
from drivers.push import pass_on
from protocol import omron_ble as wlp
from protocol import omron_records as records
from protocol.errors import MalformedValue, NoAnswer
from protocol.framing import Frame
from protocol.omron_records import Model
from protocol.omron_values import channel, decode_answer
from protocol.readings import DeviceClock, Notice, Reading

RETRY, TRIES = 1.0, 5
"""Seconds for an answer, and how often a question is put (omblepy)."""
LONGEST = {"body": 0x20}
"""The most one question may ask for where a record is longer than one answer."""

Part = Generator[Step, Answer, None]
Told = Generator[Step, Answer, wlp.Answer]


@dataclass(slots=True)
class Session:
    """One session with an unlocked monitor."""

    model: Model
    assembly: wlp.Assembly = field(default_factory=wlp.Assembly)

    def run(self) -> Part:
        """Read the clock, where the next records will stand, and each user's new ones."""
        yield from self.ask(wlp.START, wlp.STARTED)
        if self.model.clock is not None:
            yield from self.read_clock(*self.model.clock)
        cursors: Sequence[int | None] = [None] * len(self.model.users)
        if self.model.cursor is not None:
            cursors = self.model.cursors((yield from self.read(self.model.cursor, 8)).data)
        for user in range(len(self.model.users)):
            yield from self.read_user(user, cursors[user])
        ended = yield from self.ask(wlp.END, wlp.ENDED)
        yield from pass_on(decode_answer(ended, ""))

    def read_clock(self, address: int, count: int) -> Part:
        """Let the clock be known."""
        answer = yield from self.read(address, count)
        try:
            yield Observe(DeviceClock(records.clock(answer.data), b"".join(answer.pieces)))
        except MalformedValue as wrong:
            yield Observe(Notice("omron_ble.clock_lost", {"reason": wrong.detail}, fault=True))

    def read_user(self, user: int, cursor: int | None) -> Part:
        """Read one user's records from the newest down to one that the journal knows; pass on the new ones.

        The slot to be written next holds the oldest one or none; where it holds a new one, or where no source
        tells which it is, all slots are read.
        """
        whole = cursor is None
        new: list[Sequence[Decoded]] = []
        for step in range(self.model.slots):
            said, known = yield from self.read_slot(user, ((cursor or 0) - step) % self.model.slots)
            if said and not known:
                whole = whole or step == 0
                new.append(said)
            elif step and not whole:
                break
        new.sort(key=_time)
        for said in new:
            yield from pass_on(said)

    def read_slot(self, user: int, slot: int) -> Generator[Step, Answer, tuple[Sequence[Decoded], bool]]:
        """Return what one slot says (nothing: it is empty) and whether the journal knows it."""
        address, size = self.model.users[user] + slot * self.model.size, self.model.size
        most = LONGEST.get(self.model.layout, size)
        data, pieces = b"", list[bytes]()
        for at in range(0, size, most):
            answer = yield from self.read(address + at, min(most, size - at))
            data += answer.data
            pieces += answer.pieces
        if records.is_empty(data):
            return [], False
        try:
            reading = records.record(data, self.model.layout, user + 1, tuple(pieces))
        except MalformedValue as refused:
            return [Refusal(data, refused.code, refused.detail)], False
        return [reading], (yield Known(reading.record or "")) is True

    def read(self, address: int, count: int) -> Told:
        """Return the answer with *count* bytes of memory from *address* on."""
        return (
            yield from self.ask(
                wlp.read_memory(address, count),
                wlp.READ,
                lambda answer: answer.address == address and len(answer.data) == count,
            )
        )

    def ask(self, question: bytes, kind: bytes, right: Callable[[wlp.Answer], bool] = lambda _: True) -> Told:
        """Put a question until it is answered; raise NoAnswer where it never is."""
        for _ in range(TRIES):
            self.assembly.missing()
            yield Write(wlp.WRITE, question)
            while isinstance(heard := (yield Listen(within=RETRY)), Frame):
                answer = self.collect(heard)
                if answer is not None and answer.kind == kind and right(answer):
                    return answer
        raise NoAnswer(f"no answer to {question.hex(' ')}")

    def collect(self, frame: Frame) -> wlp.Answer | None:
        """Return an answer once its last piece is there; a damaged one is none, it is asked for again."""
        if frame.source not in wlp.NOTIFY:
            return None
        pieces = self.assembly.take(channel(frame), frame.data)
        try:
            return None if pieces is None else wlp.parse(pieces)
        except MalformedValue:
            return None


def _time(said: Sequence[Decoded]) -> tuple[bool, str]:
    """Return what sorts by time; what was refused comes last."""
    times = [item.device_time.isoformat() for item in said if isinstance(item, Reading) and item.device_time]
    return not times, "".join(times)
