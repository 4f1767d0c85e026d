"""Messages of USB HID devices that are cut into reports: a byte tells how many of the following ones count.

A frame is the reports of one message, raw; `message` gives the bytes they carry. What follows the counted
bytes of a report are leftovers and say nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from protocol.framing import Frame, Noise, ReportFramer


@dataclass(frozen=True, slots=True)
class Rules:
    """How one device family cuts its messages.

    `count(first byte)` is the number of bytes that count, None for a report that is none of this family.
    `starts(report, first)` says whether a message may begin there; `first` means that no message is open and
    that nothing since the last silence was broken off or belonged to none. `whole(message, ended)` is True
    for a message that is all there and right, False for one that never will be, None while more may come;
    `ended` says that the device has sent less than fits into a report, or fallen silent. `bare(data)` says
    whether bytes without any count are a message: sources print them so. `most` bounds a message, in reports.
    """

    size: int
    count: Callable[[int], int | None]
    starts: Callable[[bytes, bool], bool]
    whole: Callable[[bytes, bool], bool | None]
    bare: Callable[[bytes], bool]
    longest_bare: int
    most: int

    def counted(self, report: bytes) -> bytes | None:
        """Return the bytes of *report* that count, None where it is no report of this family."""
        count = self.count(report[0])
        return None if count is None or count >= self.size else report[1 : 1 + count]

    def reports(self, frame: bytes) -> list[bytes]:
        """Return what each report of *frame* carries; a bare message is one piece."""
        cut = [frame[at : at + self.size] for at in range(0, len(frame), self.size)]
        if not self.starts(cut[0], True) or len(cut[-1]) < self.size:
            return [frame]
        return [self.counted(report) or b"" for report in cut]

    def message(self, frame: bytes) -> bytes:
        """Return the message that a frame of these rules carries."""
        return b"".join(self.reports(frame))

    def repacked(self, frame: bytes, message: bytes) -> bytes:
        """Return *frame* with *message*, as long as its own, in its reports; their leftovers become zeros."""
        pieces, packed, at = self.reports(frame), b"", 0
        if pieces == [frame]:
            return message
        for number, piece in enumerate(pieces):
            report = frame[number * self.size : number * self.size + 1] + message[at : at + len(piece)]
            packed += report.ljust(self.size, b"\0")
            at += len(piece)
        return packed

    def raw(self, frame: bytes, begin: int, end: int) -> bytes:
        """Return the reports of *frame* in which the message's bytes *begin* to *end* (excluded) stand."""
        pieces, found, at = self.reports(frame), b"", 0
        if len(pieces) == 1 and pieces[0] == frame:
            return frame[begin:end]
        for number, piece in enumerate(pieces):
            if at < end and at + len(piece) > begin:
                found += frame[number * self.size : (number + 1) * self.size]
            at += len(piece)
        return found


class CountedFramer:
    """Puts messages together from reports, as *rules* say."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._reports = ReportFramer(rules.size)
        self._open: list[bytes] = []
        self._message = b""
        self._stray = b""
        self._clean = self._unbroken = True
        """Since the last silence came nothing but stray bytes (they may be a bare message); came no noise."""

    def feed(self, chunk: bytes) -> Iterator[Frame | Noise]:
        """Yield each whole message in what has arrived, and the reports that belong to none."""
        for piece in self._reports.feed(chunk):
            yield from self._take(piece.data)

    def finish(self) -> Iterator[Frame | Noise]:
        """Yield the open message if it is whole as it stands, else as noise like the rest."""
        yield from self._end()
        rest = b"".join(piece.data for piece in self._reports.finish())
        held, self._stray = self._stray + rest, b""
        if held and self._clean and self._rules.bare(held):
            yield Frame(held)
        elif held:
            yield Noise(held, "incomplete" if rest else "no frame start")
        self._clean = self._unbroken = True

    def _take(self, report: bytes) -> Iterator[Frame | Noise]:
        counted = self._rules.counted(report)
        first = self._unbroken and not (self._stray or self._open)
        begins = counted is not None and self._rules.starts(report, first)
        if self._open and (counted is None or (begins and self._rules.whole(self._message, True))):
            yield from self._end()
        if counted is not None and (self._open or begins):
            yield from self._put_aside()
            yield from self._add(report, counted)
        elif counted == b"" and not self._stray:
            self._clean = False
            yield Noise(report)
        else:
            self._stray += report
            if not self._clean or len(self._stray) > self._rules.longest_bare:
                yield from self._put_aside()

    def _add(self, report: bytes, counted: bytes) -> Iterator[Frame | Noise]:
        self._open.append(report)
        self._message += counted
        verdict = self._rules.whole(self._message, 0 < len(counted) < self._rules.size - 1)
        if verdict is not None:
            yield from self._close(whole=verdict, reason="check failed")
        elif len(self._open) >= self._rules.most:
            yield from self._close(whole=False, reason="frame too long")

    def _end(self) -> Iterator[Frame | Noise]:
        """The device has said no more of the open message."""
        if self._open:
            yield from self._close(whole=self._rules.whole(self._message, True) is True, reason="incomplete")

    def _close(self, *, whole: bool, reason: str) -> Iterator[Frame | Noise]:
        raw = b"".join(self._open)
        self._open, self._message = [], b""
        self._unbroken = self._unbroken and whole
        yield Frame(raw) if whole else Noise(raw, reason)

    def _put_aside(self) -> Iterator[Noise]:
        """Give out stray reports: a message, or too many of them, shows that they are no bare one."""
        self._clean = False
        if self._stray:
            self._unbroken = False
            yield Noise(self._stray, "no frame start")
            self._stray = b""
