"""Cut a byte stream into frames, whatever pieces it arrives in, and find the way back after noise."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Frame:
    """One complete message whose check matched; `data` is all of its bytes, delimiters included."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Noise:
    """Bytes that belong to no frame, kept because a technician will ask about them.

    `reason` is empty for bytes that merely separate frames (a line feed after a carriage return).
    """

    data: bytes
    reason: str = ""


class Framer(Protocol):
    """Turns chunks into frames.

    Always true: the bytes of all frames and noise, in order, plus what is still held, are exactly
    the bytes fed so far; how the stream was cut into chunks never changes the frames; what is held
    is bounded.
    """

    def feed(self, chunk: bytes) -> Iterator[Frame | Noise]:
        """Take *chunk* and yield what is now complete."""
        ...

    def finish(self) -> Iterator[Frame | Noise]:
        """Yield what is held as it stands: the device has fallen silent, no more will come."""
        ...


class Held:
    """Bytes fed and not yet given out; the part every framer shares."""

    def __init__(self) -> None:
        self._held = bytearray()

    def _take(self, count: int) -> bytes:
        taken = bytes(self._held[:count])
        del self._held[:count]
        return taken


class LengthFramer(Held):
    """Frames that begin with *start*, say their own length in the first *header* bytes and end checked.

    `length(header_bytes)` returns the whole frame's length, or None where no frame has such a header;
    `check(frame)` says whether the frame's check code matches. After a false start the search goes on
    one byte further, so that a good frame inside the rubbish is never thrown away.
    """

    def __init__(
        self,
        start: bytes,
        header: int,
        length: Callable[[bytes], int | None],
        check: Callable[[bytes], bool],
    ) -> None:
        super().__init__()
        self._start = start
        self._header = header
        self._length = length
        self._check = check

    def feed(self, chunk: bytes) -> Iterator[Frame | Noise]:
        """Yield each whole frame in what has arrived, and the noise between frames."""
        self._held += chunk
        yield from self._scan()

    def finish(self) -> Iterator[Frame | Noise]:
        """Yield the held bytes as noise, and any frame that stood behind a false start."""
        while self._held:
            yield Noise(self._take(1), "incomplete")
            yield from self._scan()

    def _scan(self) -> Iterator[Frame | Noise]:
        held, start = self._held, self._start
        while held:
            if not held.startswith(start) and (skipped := self._before_start()):
                yield Noise(self._take(skipped), "no frame start")
                continue
            if len(held) < self._header:
                return
            size = self._length(bytes(held[: self._header]))
            if size is None:
                yield Noise(self._take(1), "impossible header")
            elif len(held) < size:
                return
            elif self._check(candidate := bytes(held[:size])):
                del held[:size]
                yield Frame(candidate)
            else:
                yield Noise(self._take(1), "check failed")

    def _before_start(self) -> int:
        """Return how many held bytes cannot belong to a frame (0: all may be a start cut short)."""
        found = self._held.find(self._start)
        if found >= 0:
            return found
        for kept in range(min(len(self._start) - 1, len(self._held)), 0, -1):
            if self._held.endswith(self._start[:kept]):
                return len(self._held) - kept
        return len(self._held)


class LineFramer(Held):
    """Text lines ended by CR, LF or both; a line is given out at its first terminator byte."""

    def __init__(self, limit: int = 256) -> None:
        super().__init__()
        self._limit = limit

    def feed(self, chunk: bytes) -> Iterator[Frame | Noise]:
        """Yield each whole line, its terminator byte included; blank lines and overlong ones are noise."""
        self._held += chunk
        while (end := self._line_end()) >= 0:
            line = self._take(end + 1)
            yield self._sorted(line)
        while len(self._held) > self._limit:
            yield Noise(self._take(self._limit), "no line end")

    def finish(self) -> Iterator[Frame | Noise]:
        """Yield the unterminated rest as a line: some devices send no terminator."""
        if self._held:
            yield self._sorted(self._take(len(self._held)))

    def _sorted(self, line: bytes) -> Frame | Noise:
        if len(line) > self._limit + 1:
            return Noise(line, "line too long")
        return Frame(line) if line.strip(b"\r\n\0 ") else Noise(line)

    def _line_end(self) -> int:
        ends = [end for end in (self._held.find(b"\r"), self._held.find(b"\n")) if end >= 0]
        return min(ends, default=-1)


class DelimitedFramer(Held):
    """Frames between a start mark and an end mark, of one or several dialects.

    A start mark that appears again before the end begins the frame anew (the first was cut off).
    """

    def __init__(self, *marks: tuple[bytes, bytes], limit: int = 1024) -> None:
        super().__init__()
        self._marks = marks
        self._limit = limit

    def feed(self, chunk: bytes) -> Iterator[Frame | Noise]:
        """Yield each whole frame, both marks included, and the noise between."""
        self._held += chunk
        while (span := self._first()) is not None:
            begin, end = span
            if begin:
                yield Noise(self._take(begin), "no frame start")
            yield Frame(self._take(end - begin))
        while len(self._held) > self._limit:
            yield Noise(self._take(len(self._held) - self._limit), "no frame end")

    def finish(self) -> Iterator[Frame | Noise]:
        """Yield what is held as noise: a frame without its end mark is not whole."""
        if self._held:
            yield Noise(self._take(len(self._held)), "incomplete")

    def _first(self) -> tuple[int, int] | None:
        spans = [span for start, stop in self._marks if (span := self._span(start, stop))]
        return min(spans, key=lambda span: span[1], default=None)

    def _span(self, start: bytes, stop: bytes) -> tuple[int, int] | None:
        begin = self._held.find(start)
        if begin < 0:
            return None
        end = self._held.find(stop, begin + len(start))
        if end < 0:
            return None
        return self._held.rfind(start, begin, end), end + len(stop)
