"""Cut a byte stream into frames, whatever pieces it arrives in, and find the way back after noise."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class Frame:
    """One complete message whose check matched; `data` is all of its bytes, delimiters included.

    `source` is the Bluetooth characteristic it came from (`2A35`), `ADV` an advertisement, empty on a line.
    """

    data: bytes
    source: str = ""


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


class Value(bytes):
    """Bytes that arrived as one value of a Bluetooth characteristic, or of an advertisement (`ADV`)."""

    source: str

    def __new__(cls, data: bytes, source: str) -> Self:
        """Mark *data* as a value of *source*."""
        value = super().__new__(cls, data)
        value.source = source
        return value


class ValueFramer:
    """Bluetooth: every value is a frame. A protocol that splits messages over values has its own framer."""

    def feed(self, chunk: bytes) -> Iterator[Frame | Noise]:
        """Yield the value."""
        if chunk:
            yield Frame(bytes(chunk), source_of(chunk))

    def finish(self) -> Iterator[Frame | Noise]:
        """Nothing is held."""
        return iter(())


def source_of(chunk: bytes) -> str:
    """Return the characteristic that *chunk* came from, empty on a line."""
    return chunk.source if isinstance(chunk, Value) else ""


class BySource:
    """A framer for each source, made when it first speaks; on a line there is but one."""

    def __init__(self, framer: Callable[[], Framer]) -> None:
        self._make = framer
        self._framers: dict[str, Framer] = {}

    def feed(self, chunk: bytes) -> Iterator[Frame | Noise]:
        """Cut *chunk* by its source's framer; its frames carry the source."""
        source = source_of(chunk)
        if source not in self._framers:
            self._framers[source] = self._make()
        return _from(source, self._framers[source].feed(chunk))

    def finish(self) -> Iterator[Frame | Noise]:
        """End every source."""
        for source, framer in self._framers.items():
            yield from _from(source, framer.finish())


def _from(source: str, pieces: Iterable[Frame | Noise]) -> Iterator[Frame | Noise]:
    for piece in pieces:
        yield Frame(piece.data, source) if source and isinstance(piece, Frame) else piece


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
    """Text lines of at most *limit* bytes ended by CR, LF or both; a line is given out at its first end byte.

    Of an overlong line nothing is given out as a frame, not even its tail.
    """

    def __init__(self, limit: int = 256) -> None:
        super().__init__()
        self._limit = limit
        self._overlong = False

    def feed(self, chunk: bytes) -> Iterator[Frame | Noise]:
        """Yield each whole line, its end byte included; blank lines and overlong ones are noise."""
        for part in _parts(chunk, self._limit):
            self._held += part
            while (end := self._line_end()) >= 0 or len(self._held) > self._limit:
                self._overlong = self._overlong or end < 0
                yield self._sorted(self._take((self._limit if end < 0 else end) + 1))
                self._overlong = end < 0

    def finish(self) -> Iterator[Frame | Noise]:
        """Yield the unterminated rest as a line: some devices send no terminator."""
        if self._held:
            yield self._sorted(self._take(len(self._held)))
        self._overlong = False

    def _sorted(self, line: bytes) -> Frame | Noise:
        if self._overlong:
            return Noise(line, "line too long")
        return Frame(line) if line.strip(b"\r\n\0 ") else Noise(line)

    def _line_end(self) -> int:
        ends = [end for mark in b"\r\n" if (end := self._held.find(mark, 0, self._limit + 1)) >= 0]
        return min(ends, default=-1)


class DelimitedFramer(Held):
    """Frames between a start mark and an end mark, of one or several dialects, at most *limit* bytes long.

    A start mark that appears again before the end begins the frame anew (the first was cut off). Raises
    ValueError where one mark is part of another: which was meant would depend on how the bytes arrive.
    """

    def __init__(self, *marks: tuple[bytes, bytes], limit: int = 1024) -> None:
        super().__init__()
        every = [mark for pair in marks for mark in pair]
        if any(one in other for one in every for other in every if one is not other):
            raise ValueError("a mark may not be part of another")
        self._ends = dict(marks)
        self._marks = re.compile(b"|".join(map(re.escape, every)))
        self._overlap = max(map(len, every)) - 1
        self._limit = limit
        self._looked = 0
        self._end: bytes | None = None

    def feed(self, chunk: bytes) -> Iterator[Frame | Noise]:
        """Yield each whole frame, both marks included, and the noise between."""
        for part in _parts(chunk, self._limit):
            self._held += part
            while (found := self._marks.search(self._held, self._looked)) is not None:
                yield from self._at(found.group(), found.start(), found.end())
            self._looked = max(self._looked, len(self._held) - self._overlap)
            yield from self._spare()

    def finish(self) -> Iterator[Frame | Noise]:
        """Yield what is held as noise: a frame without its end mark is not whole."""
        self._end, self._looked = None, 0
        if self._held:
            yield Noise(self._take(len(self._held)), "incomplete")

    def _at(self, mark: bytes, begin: int, end: int) -> Iterator[Frame | Noise]:
        """Act on the next *mark* in what is held; nothing before `begin` can be part of a later one."""
        if mark in self._ends:
            reason = "no frame end" if self._end else "no frame start"
            self._end, self._looked = self._ends[mark], len(mark)
            if begin:
                yield Noise(self._take(begin), reason)
        elif mark != self._end:
            self._looked = end
        else:
            self._end, self._looked = None, 0
            whole = self._take(end)
            yield Frame(whole) if len(whole) <= self._limit else Noise(whole, "frame too long")

    def _spare(self) -> Iterator[Noise]:
        """Yield what can no longer become part of a frame."""
        if self._end and len(self._held) <= self._limit:
            return
        reason = "frame too long" if self._end else "no frame start"
        self._end = None
        if self._looked > 0:
            yield Noise(self._take(self._looked), reason)
            self._looked = 0


class ReportFramer(Held):
    """Reports of *size* bytes, each a frame, counted from the first byte after a silence."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def feed(self, chunk: bytes) -> Iterator[Frame | Noise]:
        """Yield each whole report."""
        self._held += chunk
        while len(self._held) >= self._size:
            yield Frame(self._take(self._size))

    def finish(self) -> Iterator[Frame | Noise]:
        """Yield the rest as noise: a report is whole or it is none."""
        if self._held:
            yield Noise(self._take(len(self._held)), "incomplete")


def _parts(chunk: bytes, size: int) -> Iterator[bytes]:
    """Cut *chunk* so that a search through what is held never runs over more than about *size* bytes."""
    return (chunk[begin : begin + size] for begin in range(0, len(chunk), size))
