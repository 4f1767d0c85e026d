"""Downloading a device's memory through its Record Access Control Point; a helper of drivers, none itself.

Sources: ble/sig_gls.md, sig_bps.md. Records are named by sequence numbers that grow, except on meters that
count backwards; their own times tell. The newest records are asked for in growing portions down to one that
the journal knows, and told oldest first, so that one known record means that all before it are known. Where a
memory was renumbered no known record is found and it is read whole. Nothing here erases.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from drivers.catalogue import Decoded, Refusal
from drivers.dialogue import Answer, Known, Listen, Observe, Step, Write
from drivers.gatt_contact import Contact
from protocol.errors import MalformedValue, NoAnswer
from protocol.framing import Frame
from protocol.gatt import record_access
from protocol.gatt.record_access import (
    CONTROL_POINT,
    COUNT_ALL,
    NO_RECORDS,
    REPORT_ALL,
    REPORT_FIRST,
    REPORT_LAST,
    SUCCESS,
    report_from,
    report_one,
)
from protocol.readings import Notice, Reading

PROCEDURE = 30.0
"""Seconds without a value after which a procedure has failed (ble/sig_gls.md)."""
PORTIONS = (16, 64, 256)
"""Ours: how many of the newest records are asked for, one portion after the other."""
MOST_VALUES = 16_384
"""Ours: more than any memory holds; the end of a procedure in any case."""

Asked = Generator[Step, Answer, "Batch"]


@dataclass(frozen=True, slots=True)
class Batch:
    """What a procedure brought: the records' values in the order they came, and how it ended."""

    frames: tuple[Frame, ...]
    ended: str
    count: int | None = None

    @property
    def silent(self) -> bool:
        """Say whether the device never ended the procedure: no further one may be begun on this link."""
        return not self.ended


@dataclass(frozen=True, slots=True)
class Records:
    """The memory behind one characteristic; values of `alongside` belong to its records."""

    contact: Contact
    characteristic: str
    alongside: tuple[str, ...] = ()

    def download(self) -> Generator[Step, Answer, bool]:
        """Tell what is new; return whether the device may be asked for more on this link.

        Raises NoAnswer where it says nothing at all.
        """
        last = yield from self._report(REPORT_LAST)
        if last.silent and not last.frames:
            raise NoAnswer("no answer from the control point")
        if last.ended == NO_RECORDS:
            return True
        first = last if last.ended != SUCCESS else (yield from self._report(REPORT_FIRST))
        if last.silent or first.silent:
            return (yield from _given_up())
        in_order = first.ended == SUCCESS and self._in_order(first, last)
        done = (yield from self._newest(last)) if in_order else None
        return (yield from self.download_all(again=False)) if done is None else done

    def download_all(self, *, again: bool) -> Generator[Step, Answer, bool]:
        """Read the whole memory and tell what the journal does not know, oldest first.

        *again* looks for gaps too; else what stands before a known record is taken for known.
        """
        counted = yield from self._ask(COUNT_ALL)
        if counted.silent:
            return (yield from _given_up())
        batch = yield from self._report(REPORT_ALL)
        items = self._decoded(batch)
        if _newest_first(items):
            items = [] if batch.silent else items[::-1]
        known = None if again else (yield from _known(items))
        yield from self._tell(items[0 if known is None else known + 1 : -1 if batch.silent else None])
        short = counted.count is not None and len(self._records(batch)) < counted.count
        if batch.silent:
            return (yield from _given_up())
        if short or batch.ended not in {SUCCESS, NO_RECORDS}:
            yield from _incomplete(batch.ended)
        return True

    def _newest(self, last: Batch) -> Generator[Step, Answer, bool | None]:
        """Tell the new records where the portions reach back to a known one; None where they do not."""
        batch, newest = last, _sequence(self._records(last)[-1])
        for portion in (*PORTIONS, None):
            items = self._decoded(batch)
            if (known := (yield from _known(items))) is not None:
                yield from self._tell(items[known + 1 :])
                return True
            if portion is None or newest < portion:
                break
            batch = yield from self._report(report_from(newest - portion + 1))
            if batch.silent:
                return (yield from _given_up())
        return None

    def _in_order(self, first: Batch, last: Batch) -> bool:
        """Say whether the first record is not younger than the last: what is called newest is newest."""
        records = self._records(first), self._records(last)
        if not all(records):
            return False
        return not _newest_first(self._decoded(first) + self._decoded(last))

    def _report(self, request: bytes) -> Asked:
        """Ask for records; one that was refused is asked for a second time."""
        batch = yield from self._ask(request)
        frames = list(batch.frames)
        if batch.ended == SUCCESS:
            for at, frame in enumerate(batch.frames):
                if self._is_record(frame) and self._refused(frame):
                    again = yield from self._ask(report_one(_sequence(frame)))
                    frames[at] = next(filter(self._is_record, again.frames), frame)
                    if again.silent:
                        return replace(again, frames=tuple(frames))
        return replace(batch, frames=tuple(frames))

    def _ask(self, request: bytes) -> Asked:
        """Write *request* and gather the records until it is answered; what is no record is passed on."""
        yield Write(CONTROL_POINT, request)
        frames: list[Frame] = []
        for _ in range(MOST_VALUES):
            heard = yield Listen(timeout=PROCEDURE)
            if not isinstance(heard, Frame):
                break
            if heard.source == CONTROL_POINT:
                answer = _answer(heard.data)
                if answer is not None and answer.request == request[0]:
                    return Batch(tuple(frames), answer.result, answer.count)
            elif heard.source in {self.characteristic, *self.alongside}:
                frames.append(heard)
            else:
                yield from self.contact.take(heard)
        return Batch(tuple(frames), "")

    def _tell(self, items: Sequence[Decoded]) -> Generator[Step, Answer, None]:
        for item in items:
            yield from self.contact.tell(item)

    def _records(self, batch: Batch) -> list[Frame]:
        return [frame for frame in batch.frames if self._is_record(frame)]

    def _decoded(self, batch: Batch) -> list[Decoded]:
        return list(self.contact.decode(batch.frames))

    def _is_record(self, frame: Frame) -> bool:
        return frame.source == self.characteristic and len(frame.data) > 2

    def _refused(self, frame: Frame) -> bool:
        return any(isinstance(item, Refusal) for item in self.contact.decode([frame]))


def _known(items: Sequence[Decoded]) -> Generator[Step, Answer, int | None]:
    """Return where the youngest record stands that the journal knows; None where it knows none."""
    for at in reversed(range(len(items))):
        item = items[at]
        if isinstance(item, Reading) and item.record is not None and (yield Known(item.record)) is True:
            return at
    return None


def _newest_first(items: Sequence[Decoded]) -> bool:
    times = [item.device_time for item in items if isinstance(item, Reading) and item.device_time]
    return bool(times) and times[0] > times[-1]


def _answer(data: bytes) -> record_access.Answer | None:
    try:
        return record_access.answer(data)
    except MalformedValue:
        return None


def _sequence(frame: Frame) -> int:
    return int.from_bytes(frame.data[1:3], "little")


def _given_up() -> Generator[Step, Answer, bool]:
    """Let it be known that the device did not end a procedure: no other may be begun on this link."""
    yield from _incomplete("the device fell silent")
    return False


def _incomplete(reason: str) -> Generator[Step, Answer, None]:
    yield Observe(Notice("gatt.records_incomplete", {"reason": reason}, fault=True))
